/** What callers write becomes messages, and times become numbers and dates. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as convert from '../src/convert.js';

const inputs = [
  ['a text', 'good', { text: 'good' }],
  ['a pair of texts', ['good', 'bad'], { text: 'good', textPair: 'bad' }],
  ['words', { words: ['a', 'dog'] }, { words: { words: ['a', 'dog'] } }],
  ['a message', { text: 'good', textPair: 'bad' }, { text: 'good', textPair: 'bad' }],
  ['a message of words', { words: { words: ['a'] } }, { words: { words: ['a'] } }],
];
for (const [name, given, message] of inputs) {
  test(`an input may be ${name}`, () => assert.deepEqual(convert.toInput(given), message));
}

test('a question may be a pair', () => {
  const { inputs: questions } = convert.withQuestions({ inputs: [['who?', 'me'], { question: 'a', context: 'b' }] });

  assert.deepEqual(questions, [
    { question: 'who?', context: 'me' },
    { question: 'a', context: 'b' },
  ]);
});

for (const ms of [0, 0.25, 999, 1500, 3_600_000]) {
  test(`${ms} ms are the same after a duration`, () => {
    assert.equal(convert.durationToMs(convert.msToDuration(ms)), ms);
  });
}

test('absent times stay absent', () => {
  assert.equal(convert.msToDuration(undefined), undefined);
  assert.equal(convert.durationToMs(null), null);
  assert.equal(convert.timestampToDate(null), null);
});

test('a timestamp becomes a date', () => {
  assert.deepEqual(convert.timestampToDate({ seconds: 1, nanos: 500_000_000 }), new Date(1500));
});
