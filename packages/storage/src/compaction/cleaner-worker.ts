/** Compacts logs on a thread of its own: reading, hashing and rewriting gigabytes must not be the event loop's time. */
import { serveThread, systemClock } from '@tidelog/core'
import { synchronousFileSystem } from '../synchronous-file-system.ts'
import { CleaningError } from './cleaning-error.ts'
import { SegmentCleaner } from './segment-cleaner.ts'
import type { CleanerAnswer, CleanerCall } from './threaded-cleaner.ts'

const cleaner = new SegmentCleaner(synchronousFileSystem, systemClock)

async function answer(call: CleanerCall): Promise<CleanerAnswer> {
  try {
    return { output: 'slots' in call ? await cleaner.buildMap(call) : await cleaner.cleanGroup(call) }
  } catch (error) {
    if (error instanceof CleaningError) return { failure: error.failure, message: error.message }
    throw error
  }
}

serveThread((request) => answer(request as CleanerCall))
