/** Rows of a request that are worked on in one turn of the event loop: a refused one costs some 30 µs, so a turn stays below 10 ms. */
const TURN_ROWS = 256

/** A short request may have 100,000 rows: between them, the event loop serves others. Source: faults.md X4. */
export class RowTurns {
  #rows = 0

  /** To be awaited ahead of each row; undefined when there is nothing to wait for. */
  next(): Promise<void> | undefined {
    this.#rows++
    return this.#rows % TURN_ROWS === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined
  }
}

/**
 * Starts the work on the rows of each topic, in order, without waiting for one before the next, and resolves when all of it is done.
 * @returns What came of the rows, in the order of `topics`.
 */
export async function workOnRows<Topic, Row, Done>(
  topics: readonly Topic[],
  rowsOf: (topic: Topic) => readonly Row[],
  work: (row: Row, topic: Topic) => Promise<Done>,
): Promise<Done[][]> {
  const turns = new RowTurns()
  const started: Promise<Done[]>[] = []
  for (const topic of topics) {
    const ofTopic: Promise<Done>[] = []
    const rows = rowsOf(topic)
    for (let index = 0; index < Math.max(1, rows.length); index++) {
      const turn = turns.next()
      if (turn !== undefined) await turn
      if (index < rows.length) ofTopic.push(settled(work(rows[index]!, topic)))
    }
    started.push(settled(Promise.all(ofTopic)))
  }
  return Promise.all(started)
}

/** A failure is seen by whoever waits for all rows; until then it must not count as one that nobody handles. */
function settled<Done>(work: Promise<Done>): Promise<Done> {
  work.catch(() => {})
  return work
}
