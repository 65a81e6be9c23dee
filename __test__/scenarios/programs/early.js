'use strict';

// Given to processes by --require: loads the builtin before anything else does.

globalThis.wasWorker = require('node:cluster').isWorker;
