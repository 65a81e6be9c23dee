'use strict';

// The invariants of ARCHITECTURE.md, asserted on the sources. Each rule carries a source that
// breaks it and one that does not, so that a rule that cannot fail is found out.

const assert = require('node:assert');
const path = require('node:path');
const { describe, test } = require('node:test');

const {
  codeOf,
  exceptTests,
  findings,
  importsOf,
  readSources,
  undocumentedUnsafe,
} = require('./helpers/source-rules.js');

const asIs = (text) => text;
const JAVASCRIPT = /^(?:lib\/.*|scripts\/.*|index|register)\.js$/;
const TESTS = /^__test__\/.*\.[cm]?js$/;

const RULES = [
  {
    name: 'N-API is named only in src/addon',
    why: 'the core is tested without Node',
    in: /^src\/.*\.rs$/,
    notIn: /^src\/addon\//,
    never: /\bnapi(?:_\w+)?\b/g,
    good: { 'src/a.rs': '// napi::Env\nmod addon;', 'src/addon/mod.rs': 'use napi::Env;' },
    bad: { 'src/a.rs': 'use napi::Env;', 'src/b.rs': 'use napi_derive::napi;' },
  },
  {
    name: 'unsafe stands only in src/sys and src/addon/callback.rs',
    why: 'what has to be trusted is to be found in one place',
    in: /^src\/.*\.rs$/,
    notIn: /^src\/(?:sys\/|addon\/callback\.rs$)/,
    never: /\bunsafe\b/g,
    exceptions: [
      {
        file: 'src/shared.rs',
        has: 'unsafe impl Shareable for WorkerPage',
        reason: 'the promise is about its own fields, which must stand beside them',
      },
    ],
    good: { 'src/a.rs': '// unsafe', 'src/sys/a.rs': 'unsafe { f() }' },
    bad: { 'src/a.rs': 'fn f() { unsafe { g() } }', 'src/addon/b.rs': 'unsafe fn f() {}' },
  },
  {
    name: 'every unsafe says why it is sound',
    why: 'a reader must be able to check it',
    in: /^src\/.*\.rs$/,
    places: undocumentedUnsafe,
    good: {
      'src/sys/a.rs': 'f();\n// SAFETY: it is open.\nlet x =\n    unsafe { g() };',
      'src/sys/b.rs': 'let s = "unsafe { g() }";\n/// # Safety\n/// Open.\npub unsafe fn f() {}',
      'src/sys/c.rs': 'unsafe {\n    // SAFETY: it is open.\n    g()\n}',
    },
    bad: {
      'src/sys/a.rs': '// SAFETY: it is open.\nlet x = f();\nunsafe { g() };',
      'src/sys/b.rs': 'unsafe impl Send for A {}',
    },
  },
  {
    name: 'balancer.rs and protocol.rs use nothing of the crate',
    why: 'they are pure: no sockets, no clock',
    in: /^src\/(?:balancer|protocol)\.rs$/,
    of: exceptTests,
    never: /\b(?:crate|super)::/g,
    good: { 'src/balancer.rs': 'use std::io;\n#[cfg(test)]\nmod tests { use super::*; }' },
    bad: {
      'src/balancer.rs': 'use crate::sys;',
      'src/protocol.rs': '#[cfg(test)]\nmod tests { fn a() { "}" } }\nuse super::sys;',
    },
  },
  {
    name: 'protocol/ uses nothing of the crate but protocol.rs',
    why: 'it is a part of it, and as pure',
    in: /^src\/protocol\//,
    of: exceptTests,
    never: /\bcrate::|\bsuper::\{?\s*super\b/g,
    good: { 'src/protocol/a.rs': 'use super::{A, B};' },
    bad: {
      'src/protocol/a.rs': 'use crate::sys;',
      'src/protocol/b.rs': 'use super::super::sys;',
    },
  },
  {
    name: 'primary.rs does not know worker.rs, nor it the primary',
    why: 'they are two ends of one protocol, in two processes',
    in: /^src\/(?:primary|worker)\.rs$/,
    places: (text, file) => {
      const other = file === 'src/primary.rs' ? 'worker' : 'primary';
      const named = new RegExp(`\\b(?:crate|super)::(?:\\{[^}]*?\\b)?${other}\\b`, 'g');
      return Array.from(codeOf(text, file).matchAll(named), (match) => match.index);
    },
    good: { 'src/primary.rs': 'use crate::workers::A;', 'src/worker.rs': '// crate::primary' },
    bad: {
      'src/primary.rs': 'use crate::worker::A;',
      'src/worker.rs': 'use crate::{\n    sys::B,\n    primary::A,\n};',
    },
  },
  {
    name: 'lib/primary.js and lib/child.js do not reach each other',
    why: 'they run in different processes',
    in: /^lib\/(?:primary|child)\.js$/,
    places: (text, file, sources) => {
      const other = file === 'lib/primary.js' ? 'lib/child.js' : 'lib/primary.js';
      return importsOf(file, sources).has(other) ? [`imports ${other}, or what imports it`] : [];
    },
    good: { 'lib/primary.js': "require('./a.js');", 'lib/child.js': '', 'lib/a.js': '' },
    bad: {
      'lib/primary.js': "require('./a');",
      'lib/a.js': "require('./child.js');",
      'lib/child.js': "require('./primary');",
    },
  },
  {
    name: 'private Node is touched only in lib/internals.js',
    why: 'a new Node version is one file to look at',
    in: JAVASCRIPT,
    notIn: /^lib\/internals\.js$/,
    // Two of v8's documented names begin with an underscore.
    never:
      /\._(?!(?:read|write)HostObject\b)[a-z]\w*|\[\s*['"]_[a-z]|\{[^{}()=]*\b_[a-z]\w*[^{}()=]*\}\s*=[^=>]|\bowner_symbol\b|\binternalBinding\b|\bprocess\s*\.\s*binding\b/gi,
    good: {
      'lib/a.js': 'const { a, b: { c } } = d; f((_e, g) => __dirname + g); // a._b',
      'lib/internals.js': 'server._handle',
      'lib/b.js': 'serializer._writeHostObject = write;',
    },
    bad: {
      'lib/a.js': 'server._handle.fd',
      'lib/b.js': "process.binding('udp_wrap')",
      'lib/c.js': 'const { _handle: handle } = server;',
      'index.js': "cluster['_getServer']()",
      'lib/d.js': 'handle[owner_symbol]',
    },
  },
  {
    name: 'no unwrap() outside tests',
    why: 'a panic in the primary ends every worker',
    in: /^src\/.*\.rs$/,
    notIn: /\/(?:tests(?:\/\w+)?|model)\.rs$/,
    of: exceptTests,
    never: /\.unwrap\(\)/g,
    good: { 'src/a.rs': "let c = '\"';\n#[cfg(test)]\nmod tests { fn f() { a.unwrap() } }" },
    bad: { 'src/a.rs': 'fn f() { a.unwrap() }' },
  },
  {
    name: 'no file of src or lib has more than 400 lines',
    why: 'it wants to be two',
    in: /^(?:src\/.*\.rs|lib\/.*\.js)$/,
    places: (text) => {
      const lines = text.split('\n').length - 1;
      return lines > 400 ? [`has ${lines} lines`] : [];
    },
    good: { 'lib/a.js': '\n'.repeat(400) },
    bad: { 'src/a.rs': '\n'.repeat(401) },
  },
  {
    name: "scripts begin with 'use strict'",
    why: 'CommonJS has no other way to be strict',
    in: JAVASCRIPT,
    places: (text) => (/^(?:#!.*\n)?'use strict';\n/.test(text) ? [] : ["has no 'use strict'"]),
    good: { 'lib/a.js': "'use strict';\n", 'scripts/b.js': "#!/usr/bin/env node\n'use strict';\n" },
    bad: { 'lib/a.js': "// A file.\n'use strict';\n" },
  },
  {
    name: 'tests do not sleep',
    why: 'a sleep is too long or too short; wait for what is to happen',
    in: TESTS,
    never:
      /new Promise\(\s*\(?\s*(\w+)[^)]*\)?\s*=>\s*\{?\s*(?:return\s+)?setTimeout\(\s*\1\b|\bsetTimeout\b[^}]*\}\s*=\s*require\('(?:node:)?timers\/promises'\)|promisify\(setTimeout\)|\bAtomics\.wait\(/g,
    exceptions: [
      {
        file: '__test__/helpers/compare.js',
        has: 'setTimeout(resolve, 10)',
        reason: 'the end of a process that is not our child makes no event, so it is looked for',
      },
    ],
    good: { '__test__/a.js': 'setTimeout(() => process.exit(1), 60_000);' },
    bad: {
      '__test__/a.js': 'await new Promise((resolve) => setTimeout(resolve, 100));',
      '__test__/b.js': "const { setTimeout: sleep } = require('node:timers/promises');",
      '__test__/c.mjs': 'new Promise((done) => {\n  setTimeout(done, 1);\n});',
    },
  },
  {
    name: 'no test is left out',
    why: 'it would be forgotten',
    in: TESTS,
    never: /\b(?:test|it|describe|suite|t)\.(?:only|skip|todo)\(|\b(?:only|skip|todo):\s*true\b/g,
    good: { '__test__/a.js': "test('a', { skip: reason() }, () => {});" },
    bad: { '__test__/a.js': "test.only('a', f);", '__test__/b.js': "it('b', { skip: true }, f);" },
  },
  {
    name: 'no path of somebody’s machine',
    why: 'it is not there on others',
    in: /./,
    of: asIs,
    never: /(?<![\w.@-])\/(?:root|home|work|Users)\/[\w.]|\b[A-Z]:\\\\?Users/g,
    good: { 'lib/a.js': "require('../users/a'); // https://a.b/home/c" },
    bad: { 'README.md': `see ${'/home'}/me/app`, '.ci/run': `cd ${'/root'}/x` },
  },
  {
    name: 'lock files name no download address',
    why: 'a registry is the choice of whoever installs',
    in: /^(?:package-lock\.json|Cargo\.lock)$/,
    of: asIs,
    never:
      /"resolved": *"|^source = "(?!registry\+https:\/\/github\.com\/rust-lang\/crates\.io-index"$)/gm,
    good: {
      'Cargo.lock': 'source = "registry+https://github.com/rust-lang/crates.io-index"\n',
    },
    bad: {
      'package-lock.json': '"resolved": "https://a.b/c.tgz"',
      'Cargo.lock': 'source = "git+https://a.b/c"\n',
    },
  },
  {
    name: 'our types hold no any',
    why: 'it would switch the checks of a program off',
    in: /^(?:index|register)\.d\.ts$/,
    never: /\bany\b/g,
    good: { 'index.d.ts': '/** In any order. */\nexport {};' },
    bad: { 'index.d.ts': 'declare const a: any;' },
  },
  {
    name: 'README has the two commands',
    why: 'they are all that somebody new has to know',
    in: /^README\.md$/,
    places: (text) =>
      ['npm install && npm start', 'npm install && npm test']
        .filter((command) => !text.includes(command))
        .map((command) => `does not have \`${command}\``),
    good: { 'README.md': '    npm install && npm start\n    npm install && npm test\n' },
    bad: { 'README.md': 'npm start' },
  },
];

describe('the sources keep to the rules', () => {
  const sources = readSources(path.join(__dirname, '..'));
  // The examples below are wrong on purpose.
  sources.delete('__test__/tidy.test.js');

  for (const rule of RULES) {
    test(rule.name, () => {
      const found = findings(rule, sources);
      const report = `${rule.name}, because ${rule.why}:\n${found.join('\n')}\n`;
      assert.strictEqual(found.length, 0, report);
    });

    for (const exception of rule.exceptions ?? []) {
      test(`${rule.name}: the exception in ${exception.file} is still needed`, () => {
        const without = { ...rule, exceptions: [] };
        const excused = findings(without, sources).filter(
          (line) => line.startsWith(`${exception.file}:`) && line.includes(exception.has),
        );
        assert.notStrictEqual(excused.length, 0, `remove it: ${exception.has}`);
      });
    }
  }

  test('the files that the rules are about are there', () => {
    for (const file of ['README.md', 'Cargo.lock', 'package-lock.json', 'index.js', 'src/lib.rs']) {
      assert.ok(sources.has(file), `${file} is missing`);
    }
  });
});

describe('each rule can fail', () => {
  for (const rule of RULES) {
    test(rule.name, () => {
      const good = new Map(Object.entries(rule.good));
      assert.deepStrictEqual(findings(rule, good), [], 'the good example is refused');

      const bad = new Map(Object.entries(rule.bad));
      const found = findings(rule, bad);
      for (const file of bad.keys()) {
        if (!rule.in.test(file)) continue;
        assert.ok(
          found.some((line) => line.startsWith(`${file}:`)),
          `the bad example ${file} is not found`,
        );
      }
    });
  }

  test('a finding names the line', () => {
    const rule = RULES.find(({ name }) => name.startsWith('no unwrap'));
    const sources = new Map([['src/a.rs', 'fn f() {\n    /* a\n */ b.unwrap()\n}\n']]);
    assert.deepStrictEqual(findings(rule, sources), ['src/a.rs:3: */ b.unwrap()']);
  });

  test('comments and strings are told from code', () => {
    const source = "a('// no'); // yes\nb(/['\"/]/, `/* no */`); /* yes */";
    const code = codeOf(source, 'a.js');
    assert.strictEqual(code.length, source.length);
    assert.ok(!code.includes('yes'));
    assert.strictEqual(code.match(/no/g).length, 2);
  });
});
