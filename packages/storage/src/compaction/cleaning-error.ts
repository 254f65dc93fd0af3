import { messageOf } from '@tidelog/core'
/**
 * Why a log was not cleaned, or not to the end.
 * gone: its files or the log were changed meanwhile; nothing is wrong.
 * damaged: a batch is not what its checksum says, or cannot be read.
 * unindexed-abort: a transaction was aborted that is in no transaction index: one is lost or not what was written.
 * too-large: more to decompress than was allowed; a thread can do it.
 * no-space: the disk is full.
 * write: the disk cannot be written to.
 */
export type CleaningFailure = 'gone' | 'damaged' | 'unindexed-abort' | 'too-large' | 'no-space' | 'write'

export class CleaningError extends Error {
  readonly failure: CleaningFailure

  constructor(failure: CleaningFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.failure = failure
  }
}

/** Runs a read of a segment; a file that is not there is `gone`, any other error `damaged`. */
export async function reading<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof CleaningError) throw error
    if (codeOf(error) === 'ENOENT') throw new CleaningError('gone', `${path} is gone`, { cause: error })
    throw new CleaningError('damaged', `${path}: ${textOf(error)}`, { cause: error })
  }
}

/** Runs a write of a cleaned segment; `gone` when its folder is. */
export async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (error instanceof CleaningError) throw error
    const code = codeOf(error)
    const failure = code === 'ENOENT' ? 'gone' : code === 'ENOSPC' || code === 'EDQUOT' ? 'no-space' : 'write'
    throw new CleaningError(failure, `${path}: ${textOf(error)}`, { cause: error })
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

function textOf(error: unknown): string {
  return messageOf(error)
}
