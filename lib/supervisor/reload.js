'use strict';

/** Replaces all workers, some at a time; the first that does not come up ends it. */

module.exports = { reload };

/**
 * @param {{ generation: number, slotList: InstanceType<typeof import('./slot').Slot>[] }} supervisor
 * @param {number} parallel
 * @param {(event: 'reload' | 'reloaded' | 'reloadFailed', info: object) => void} emit
 */
async function reload({ generation, slotList }, parallel, emit) {
  const begun = performance.now();
  emit('reload', { generation });
  const waiting = [...slotList];
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
    emit('reloadFailed', { generation, error: failure });
    throw failure;
  }
  const ms = Math.round(performance.now() - begun);
  emit('reloaded', { generation, workers: slotList.length, ms });
}
