/** This client gives what the table of tests/conformance says, against a real server. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { differences } from '../testing/matching.js';
import { Runner } from '../testing/runner.js';

const path = process.env.ADAPTERMUX_CONFORMANCE;

describe('conformance', { skip: !path && 'needs a server: run `make test-node`', timeout: 120_000 }, () => {
  if (!path) return;
  const table = JSON.parse(readFileSync(path, 'utf8'));
  const runner = new Runner(table);
  after(() => runner.close());

  for (const testCase of table.cases) {
    test(testCase.name, async () => {
      const outcome = await runner.perform(testCase);

      assert.deepEqual(differences(testCase.expect, outcome, table.tolerance), []);
    });
  }
});
