/** Runs the codecs that are WebAssembly on a thread of its own: what large batches take must not be the event loop's time. */

import { parentPort } from 'node:worker_threads'
import { messageOf } from '@tidelog/core'
import { KafkaError } from '../errors.ts'
import { OutputLimitError } from './codec.ts'
import type { CodecJob, CodecJobResult } from './codec-thread.ts'
import { lz4Codec } from './lz4.ts'
import { loadWasm, wasmCompress, wasmDecompress } from './zstd-wasm.ts'

async function outputOf(job: CodecJob): Promise<Buffer> {
  const input = Buffer.from(job.input.buffer, job.input.byteOffset, job.input.byteLength)
  if (job.codec === 'lz4') return 'level' in job ? lz4Codec.compressSync(input, job) : lz4Codec.decompressSync(input, job)
  await loadWasm()
  return 'level' in job ? wasmCompress(input, job.level) : wasmDecompress(input, job)
}

/** In memory of its own, which can be handed over. */
async function work(job: CodecJob): Promise<Uint8Array<ArrayBuffer>> {
  const output = await outputOf(job)
  return output.byteLength === output.buffer.byteLength ? (output as Uint8Array<ArrayBuffer>) : new Uint8Array(output)
}

function failureOf(error: unknown): 'limit' | 'garbage' | 'defect' {
  if (error instanceof OutputLimitError) return 'limit'
  return error instanceof KafkaError ? 'garbage' : 'defect'
}

const port = parentPort
port?.on('message', async (job: CodecJob) => {
  let result: CodecJobResult
  let transferred: ArrayBuffer[] = []
  try {
    const output = await work(job)
    result = { id: job.id, output }
    transferred = [output.buffer]
  } catch (error) {
    result = { id: job.id, failure: failureOf(error), message: messageOf(error) }
  }
  port.postMessage(result, transferred)
})
