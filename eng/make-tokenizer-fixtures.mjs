// Makes tests/Xlstm.Tests/Fixtures/tokenizer from Hugging Face tokenizers itself, for the demo model's tokenizer:
//   demo-fuzz.jsonl            random texts made to be hard, and their ids: a line [text, [ids]] each
//   demo-every-character.txt   SHA-256 of the ids (int32, little endian) of a text about every character of a block
//
//   npm install @anush008/tokenizers@0.6.0      (the Rust library tokenizers 0.22.2; outside of the repository)
//   node eng/make-tokenizer-fixtures.mjs FOLDER_OF_NODE_MODULES [COUNT] [SEED] [TOKENIZER_JSON] [OUTPUT_FOLDER]
//
// With another count, seed and output folder it makes as much to compare with as one likes.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const [modules, count = '4000', seed = '1', file = join(root, 'models/demo/tokenizer.json'),
  output = join(root, 'tests/Xlstm.Tests/Fixtures/tokenizer')] = process.argv.slice(2);
const { Tokenizer } = createRequire(join(resolve(modules), 'x.js'))('@anush008/tokenizers');

// mulberry32: the same texts for the same seed everywhere
let state = Number(seed);
function random() {
  state = (state + 0x6D2B79F5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = n => Math.floor(random() * n);
const pick = list => list[below(list.length)];
const repeat = (make, least, most) => Array.from({ length: least + below(most - least + 1) }, make).join('');
const between = (first, last) => {
  const c = first + below(last - first + 1);
  return c >= 0xD800 && c < 0xE000 ? '\uFFFD' : String.fromCodePoint(c);
};

const words = ('the and of to a in that was he his it Once upon a time LSTM transformer naive resume difference '
  + '世界 мир Ελλάδα العربية עברית 한국어 हिन्दी ไทย 日本').split(' ');
const spaces = [...' \n\t\r\v\f\u00A0\u0085\u1680\u2003\u2028\u202F\u205F\u3000\u180E\u200B\uFEFF', '\r\n'];
const makers = [
  () => pick(words), () => ' ' + pick(words), () => ' ' + pick(words), () => ' ' + pick(words),
  () => repeat(() => ' ', 1, 20), () => repeat(() => pick(spaces), 1, 5),
  () => pick(["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", "''", '’s', "'l", "'r", "'v", " 's"]),
  () => repeat(() => between(0x30, 0x39), 1, 8),
  () => pick(['٣', '५', '๙', 'Ⅷ', '½', '²', '①', '㉛', '𝟘', '𑁦', '௰', '〇', '꘠']), // numbers of other scripts
  () => repeat(() => between(0x21, 0x7E), 1, 6), () => between(0, 0x1F), () => between(0x7F, 0xFF),
  () => '<|endoftext|>', () => '<|padding|>',
  () => pick(['<|endoftext', '|>', '<|', '<|padding|', '<|endoftext|>\u0338', '<|endoftext|>\u0301', '\u0338<|endoftext|>', '  <|padding|>  ']),
  () => pick([...'aeiouAEIOUnNcCsSyYzZøæœ']) + repeat(() => between(0x300, 0x36F), 1, 4),
  () => repeat(() => pick([...'\u0301\u0316\u0327\u0338\u0345\u0323\u0307\u05B0\u3099\u0F71\u0F72\u0F74\u1DFA\u093C\u09BE\u09D7\u0334\u{1E8D0}\u{1D165}\u{1D16E}']), 1, 6),
  () => pick(['가', '각', '힣', '\u1100\u1161', '\u1100\u1161\u11A8', '가\u11A8', '가\u11A7', '각\u11A8', '\u1112\u1175\u11C2', '\u1113\u1161', '\u1100\u1176', '\u1161']),
  () => pick(['\u00C5', '\u212B', 'A\u030A', '\u1E9B\u0323', 's\u0323\u0307', 's\u0307\u0323', '\u0344', '\u0958', '\u0929', '\u2126', '\u2ADC', '\uFB1D', '\uFB4E',
    '\uF900', '\uFA0E', '\u{2F800}', '\u{1D15E}', '\u{11131}\u{11127}', '\u{114B9}\u{114BA}', '\u09C7\u09BE', '\u0DD9\u0DCF\u0DCA', '\u1B05\u1B35', '\u0CC6\u0CC2\u0CD5',
    '\u226E', '<\u0338', '=\u0338', 'か\u3099', 'が']),
  // Marks younger than Unicode 9, which stop composition and ordering here and not by newer tables
  () => 'e' + pick([...'\u1DF6\u1DF9\u1DFB\u0AFA\u08D3\u0898\u1ABF\u07FD\u0EBA\u{1193E}\u{1E130}\u{10D24}\u{11F41}\u{1E4EC}']) + '\u0301\u0316',
  () => between(0x400, 0x52F), () => between(0x590, 0x6FF), () => between(0x900, 0xDFF), () => between(0xE00, 0xFFF), () => between(0x1100, 0x1FFF),
  () => between(0x2000, 0x2FFF), () => between(0x4E00, 0x9FFF), () => between(0xA000, 0xD7FF), () => between(0xF900, 0xFFFF),
  () => between(0x10000, 0x1FFFF), () => between(0x20000, 0x2FA1F), () => between(0x30000, 0x10FFFF),
  () => pick(['𝐀', '𝒞𝓁', '𐐷', '𠀀', '🏳️\u200D🌈', '👩\u200D👩\u200D👧', '😀', '👍🏽', '🇫🇷', '\u200D', '\u200C', '\u2060', '\uFE0F', '\u{E0001}']),
  () => pick(['\uFFFE', '\uFFFF', '\u{1FFFE}', '\u{10FFFF}', '\uFDD0', '\uFFFD', '\uFEFF', '\u0000', '\u001C', '\u007F', '\u0080']),
  () => repeat(() => pick([...'abcxyz']), 1, 60), () => repeat(() => between(0x61, 0x7A), 1, 12),
  () => pick(['...', '---', '?!', '***', '==', 'http://', '_', '"', '({[', '\\', '`']),
];

const tokenizer = Tokenizer.fromFile(file);
const encode = async texts => (await tokenizer.encodeBatch(texts, { addSpecialTokens: false })).map(e => e.getIds());
const escape = text => JSON.stringify(text).replace(/[\u007F-\uFFFF]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

const fuzz = openSync(join(output, 'demo-fuzz.jsonl'), 'w');
for (let made = 0; made < count;) {
  const texts = Array.from({ length: Math.min(500, count - made) }, () => repeat(() => pick(makers)(), 1, random() < 0.7 ? 4 : 10));
  const ids = await encode(texts);
  writeSync(fuzz, texts.map((text, i) => `[${escape(text)},${JSON.stringify(ids[i])}]\n`).join(''));
  made += texts.length;
}
closeSync(fuzz);

const every = openSync(join(output, 'demo-every-character.txt'), 'w');
for (let first = 0; first < 0x110000; first += 0x1000) {
  const texts = [];
  for (let c = first; c < first + 0x1000; c++) {
    const h = c >= 0xD800 && c < 0xE000 ? '\uFFFD' : String.fromCodePoint(c);
    texts.push(`x${h}1!${h}!  ${h} e\u0301${h}\u0316\u0323${h}${h}\u0301${h}\u1161\u11A8`);
  }
  const hash = createHash('sha256').update(Buffer.from(Int32Array.from((await encode(texts)).flat()).buffer)).digest('hex');
  writeSync(every, `${first.toString(16).toUpperCase()} ${hash}\n`);
}
closeSync(every);
