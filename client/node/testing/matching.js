/** The rules by which an outcome is compared with the table; tests/conformance/README.md tells them. */

/** Lists each place where `actual` isn't as expected. */
export function differences(expected, actual, tolerance, path = '') {
  const wrong = [`${path}: expected ${brief(expected)}, got ${brief(actual)}`];
  const absent = actual === null || actual === undefined;
  if (expected === null) return absent ? [] : wrong;
  if (typeof expected === 'number') return Math.abs(expected - actual) <= tolerance ? [] : wrong;
  if (typeof expected !== 'object') return expected === actual ? [] : wrong;
  if (expected.$any) return absent ? wrong : [];
  if ('$length' in expected) return actual?.length === expected.$length ? [] : wrong;
  if (absent || (Array.isArray(expected) && expected.length !== actual.length)) return wrong;
  return Object.entries(expected).flatMap(([key, value]) =>
    differences(value, actual[key], tolerance, `${path}.${key}`),
  );
}

function brief(value) {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 200);
}
