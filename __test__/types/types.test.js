'use strict';

// Compiles the programs beside this file as their users would: in a directory of their own, with
// the package and one version of @types/node in node_modules. `programs/` are written for Node's
// `cluster`, and are compiled as they are and again with the import swapped.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { temporary } = require('../helpers/temporary');

const root = path.join(__dirname, '..', '..');
const TYPES = { 20: 'types-node-20', 22: 'types-node-22', 24: 'types-node-24', 26: '@types/node' };
const COMMON = ['--noEmit', '--strict', '--target', 'es2022', '--skipLibCheck', 'false'];

/** The compilers and settings that programs are likely to have. */
const SETTINGS = [
  { name: 'TypeScript 7, nodenext', compiler: 'typescript', args: ['--module', 'nodenext'] },
  {
    name: 'TypeScript 7, verbatim modules',
    compiler: 'typescript',
    args: ['--module', 'nodenext', '--verbatimModuleSyntax', '--isolatedModules'],
    files: (name) => !name.startsWith('namespace-import'),
  },
  {
    name: 'TypeScript 7, for a bundler',
    compiler: 'typescript',
    args: ['--module', 'preserve', '--moduleResolution', 'bundler'],
  },
  { name: 'TypeScript 5, nodenext', compiler: 'typescript-5', args: ['--module', 'nodenext'] },
  {
    name: 'TypeScript 5, CommonJS without esModuleInterop',
    compiler: 'typescript-5',
    args: ['--module', 'commonjs', '--moduleResolution', 'node10', '--esModuleInterop', 'false'],
    files: (name) => name.endsWith('.cts'),
  },
  {
    name: 'TypeScript 5, CommonJS with esModuleInterop',
    compiler: 'typescript-5',
    args: ['--module', 'commonjs', '--moduleResolution', 'node10', '--esModuleInterop', 'true'],
    rename: (name) => name.replace(/\.mts$/, '.ts'),
  },
];

for (const [version, types] of Object.entries(TYPES)) {
  for (const setting of SETTINGS) {
    // The older compiler is slow, and what 22 and 24 declare for cluster is what 20 does.
    if (setting.compiler === 'typescript-5' && (version === '22' || version === '24')) continue;

    test(`@types/node ${version}, ${setting.name}`, (t) => {
      const directory = project(t, types);
      const { files = () => true, rename = (name) => name } = setting;
      const wanted = (name) => files(name) && (Number(version) >= 25 || !name.includes('since-25'));

      for (const name of list('programs').filter(wanted)) {
        const source = read('programs', name);
        write(directory, `node.${rename(name)}`, source);
        write(directory, `ours.${rename(name)}`, swapImport(source));
      }
      for (const name of list('ours').filter(wanted)) {
        write(directory, rename(name), read('ours', name));
      }
      compile(directory, setting);
    });
  }
}

test('a program that breaks the types does not compile', (t) => {
  const directory = project(t, TYPES[26]);
  write(directory, 'wrong.mts', "import { fork } from 'rust-cluster';\nfork().nothing();\n");
  const { status, stdout } = run(directory, SETTINGS[0]);
  assert.notStrictEqual(status, 0);
  assert.match(stdout, /'nothing' does not exist/);
});

/** An empty project with the package and these types in its node_modules. */
function project(t, types) {
  const directory = temporary(t);
  const installed = path.join(directory, 'node_modules', 'rust-cluster');
  fs.mkdirSync(installed, { recursive: true });
  fs.mkdirSync(path.join(installed, 'lib/supervisor'), { recursive: true });
  const files = ['package.json', 'index.d.ts', 'register.d.ts', 'lib/supervisor/index.d.ts'];
  for (const name of files) {
    fs.copyFileSync(path.join(root, name), path.join(installed, name));
  }
  fs.mkdirSync(path.join(directory, 'node_modules', '@types'));
  fs.symlinkSync(
    path.join(root, 'node_modules', types),
    path.join(directory, 'node_modules', '@types', 'node'),
  );
  return directory;
}

function compile(directory, setting) {
  const { status, stdout, stderr } = run(directory, setting);
  assert.strictEqual(status, 0, `${stdout}${stderr}`);
}

function run(directory, { compiler, args }) {
  const programs = fs.readdirSync(directory).filter((name) => /ts$/.test(name));
  const tsc = path.join(root, 'node_modules', compiler, 'bin', 'tsc');
  return spawnSync(process.execPath, [tsc, ...COMMON, ...args, ...programs], {
    cwd: directory,
    encoding: 'utf8',
  });
}

function swapImport(source) {
  const swapped = source.replace(/(['"])(?:node:)?cluster\1/g, "'rust-cluster'");
  assert.notStrictEqual(swapped, source, 'the program imports no cluster');
  return swapped;
}

function list(folder) {
  return fs.readdirSync(path.join(__dirname, folder));
}

function read(folder, name) {
  return fs.readFileSync(path.join(__dirname, folder, name), 'utf8');
}

function write(directory, name, text) {
  fs.writeFileSync(path.join(directory, name), text);
}
