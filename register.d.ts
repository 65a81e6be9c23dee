// Loaded for its effect: it puts this package in the place of `node:cluster`.
export {};
