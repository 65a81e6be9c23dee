'use strict';

/** Replaces all workers, some at a time; the first that does not come up ends it. */

module.exports = { reload };

/**
 * @param {InstanceType<typeof import('./slot').Slot>[]} slots
 * @param {number} parallel
 * @param {(event: 'reload' | 'reloaded' | 'reloadFailed', info: object) => void} emit
 */
async function reload(slots, parallel, emit) {
  const begun = performance.now();
  emit('reload', {});
  const waiting = [...slots];
  /** @type {any} */
  let failure;
  const one = async () => {
    for (let slot = waiting.shift(); slot && !failure; slot = waiting.shift()) {
      try {
        await slot.replace('reload');
      } catch (reason) {
        failure ??= reason;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, parallel) }, one));
  if (failure) {
    emit('reloadFailed', { error: failure });
    throw failure;
  }
  emit('reloaded', { workers: slots.length, ms: Math.round(performance.now() - begun) });
}
