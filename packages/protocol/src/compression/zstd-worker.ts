/** Runs the WASM zstd on a thread of its own: what large batches take must not be the event loop's time. */
import { parentPort } from 'node:worker_threads'
import { KafkaError } from '../errors.ts'
import { OutputLimitError } from './codec.ts'
import { loadWasm, wasmCompress, wasmDecompress } from './zstd-wasm.ts'

export type ZstdJob =
  | { readonly id: number; readonly input: Uint8Array; readonly level: number }
  | { readonly id: number; readonly input: Uint8Array; readonly maxOutputBytes: number }

export type ZstdJobResult =
  | { readonly id: number; readonly output: Uint8Array }
  | { readonly id: number; readonly failure: 'limit' | 'garbage' | 'defect'; readonly message: string }

function work(job: ZstdJob): Uint8Array {
  if ('level' in job) return wasmCompress(job.input, job.level)
  return wasmDecompress(Buffer.from(job.input.buffer, job.input.byteOffset, job.input.byteLength), job)
}

function failureOf(error: unknown): 'limit' | 'garbage' | 'defect' {
  if (error instanceof OutputLimitError) return 'limit'
  return error instanceof KafkaError ? 'garbage' : 'defect'
}

const port = parentPort
port?.on('message', async (job: ZstdJob) => {
  let result: ZstdJobResult
  try {
    await loadWasm()
    result = { id: job.id, output: work(job) }
  } catch (error) {
    result = { id: job.id, failure: failureOf(error), message: error instanceof Error ? error.message : String(error) }
  }
  port.postMessage(result, 'output' in result ? [result.output.buffer as ArrayBuffer] : [])
})
