'use strict';

// What tidy.test.js says about sources, carried out: which files there are, what of them is code,
// and where a rule is broken. Findings are of the form `file:line: text of the line`.

const fs = require('node:fs');
const path = require('node:path');

module.exports = { codeOf, exceptTests, findings, importsOf, readSources, undocumentedUnsafe };

const NOT_OURS = new Set(['.git', 'node_modules', 'npm', 'target', 'native.js', 'native.d.ts']);
const NOT_TEXT = /\.(?:node|tgz|png)$/;

/** All text files below `root` that are written by hand: a Map from path to text. */
function readSources(root) {
  const sources = new Map();
  for (const entry of fs.readdirSync(root, { withFileTypes: true, recursive: true })) {
    const file = path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name));
    if (!entry.isFile() || NOT_TEXT.test(file)) continue;
    if (file.split(path.sep).some((part) => NOT_OURS.has(part))) continue;
    sources.set(file.split(path.sep).join('/'), fs.readFileSync(path.join(root, file), 'utf8'));
  }
  return sources;
}

/**
 * Where a rule is broken. A rule says in which files it holds (`in`), and either what must not
 * stand there (`never`, in the text that `of` makes of the file) or computes the places itself
 * (`places`: offsets, or a sentence about the file as a whole).
 */
function findings(rule, sources) {
  const found = [];
  for (const [file, text] of sources) {
    if (!rule.in.test(file) || rule.notIn?.test(file)) continue;
    for (const place of placesIn(rule, file, text, sources)) {
      if (typeof place === 'string') {
        found.push(`${file}:1: ${place}`);
        continue;
      }
      const line = text.slice(0, place).split('\n').length;
      const content = text.split('\n')[line - 1].trim();
      if (!isException(rule, file, content)) found.push(`${file}:${line}: ${content}`);
    }
  }
  return found;
}

function placesIn(rule, file, text, sources) {
  if (rule.places) return rule.places(text, file, sources);
  const { of = codeOf } = rule;
  return Array.from(of(text, file).matchAll(rule.never), (match) => match.index);
}

function isException({ exceptions = [] }, file, content) {
  return exceptions.some((given) => given.file === file && content.includes(given.has));
}

const RUST = /\/\/.*|\/\*[^]*?\*\/|r(#*)"[^]*?"\1|"(?:\\[^]|[^"\\])*"|'(?:\\[^\n]*?|[^\\'\n])'/g;
// A slash begins a regular expression where an operand is due.
const JAVASCRIPT = new RegExp(
  [
    /\/\/.*|\/\*[^]*?\*\//,
    /'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`/,
    /(?<=(?:[(,=:[!&|?{};]|\breturn)\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//,
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
);

/** The text with its comments blanked, and its strings if `strings` is false; same offsets. */
function codeOf(text, file, { strings = true } = {}) {
  return text.replace(file.endsWith('.rs') ? RUST : JAVASCRIPT, (token) => {
    const isComment = token.startsWith('//') || token.startsWith('/*');
    return isComment || !strings ? blank(token) : token;
  });
}

/** Rust code with its `#[cfg(test)]` modules blanked; same offsets. */
function exceptTests(text, file) {
  const braces = codeOf(text, file, { strings: false });
  let code = codeOf(text, file);
  for (const { index, 0: head } of braces.matchAll(/#\[cfg\(test\)\]\s*mod\s+\w+\s*\{/g)) {
    let depth = 1;
    let end = index + head.length;
    for (; depth > 0 && end < braces.length; end++) {
      if (braces[end] === '{') depth++;
      else if (braces[end] === '}') depth--;
    }
    code = code.slice(0, index) + blank(code.slice(index, end)) + code.slice(end);
  }
  return code;
}

function blank(text) {
  return text.replace(/[^\n]/g, ' ');
}

/**
 * The offsets of `unsafe` blocks, functions, impls and traits that no comment vouches for: neither
 * right above the statement nor right below its first line.
 */
function undocumentedUnsafe(text, file) {
  const code = codeOf(text, file, { strings: false });
  const places = Array.from(code.matchAll(/\bunsafe\s*(?:\{|fn|impl|trait)/g), (m) => m.index);
  const lines = text.split('\n');
  const codeLines = code.split('\n');
  return places.filter((place) => {
    const at = text.slice(0, place).split('\n').length - 1;
    let from = at;
    // Up to the line that ends what stands before: comments and attributes are none.
    while (from > 0 && !/[;{}]\s*$/.test(codeLines[from - 1].trimEnd())) from--;
    return !/SAFETY:|# Safety/.test(lines.slice(from, at + 2).join('\n'));
  });
}

/** The files of the same tree that this one requires or imports, and those that they do. */
function importsOf(file, sources, seen = new Set()) {
  const code = codeOf(sources.get(file) ?? '', file);
  for (const [, target] of code.matchAll(/(?:require\(|from\s+|import\s+)['"](\.[^'"]+)['"]/g)) {
    const wanted = path.posix.join(path.posix.dirname(file), target);
    const imported = [wanted, `${wanted}.js`, `${wanted}/index.js`].find((f) => sources.has(f));
    if (imported === undefined || seen.has(imported)) continue;
    seen.add(imported);
    importsOf(imported, sources, seen);
  }
  return seen;
}
