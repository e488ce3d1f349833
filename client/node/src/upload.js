/** The messages of `UploadAdapter`: what is to come, then the bytes of a folder. */

/**
 * @param {import('./content.js').Content} content
 * @param {string} revision that the content must have
 * @param {(progress: {sentBytes: number, totalBytes: number}) => void} [onProgress] called after each chunk
 */
export async function* uploadMessages(content, revision, onProgress) {
  yield { metadata: { files: content.files.map(({ name, sizeBytes }) => ({ name, sizeBytes })), revision } };
  let sentBytes = 0;
  for await (const chunk of content.read()) {
    yield { chunk };
    sentBytes += chunk.length;
    onProgress?.({ sentBytes, totalBytes: content.sizeBytes });
  }
}
