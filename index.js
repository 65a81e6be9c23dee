'use strict';

module.exports = require('cluster');
