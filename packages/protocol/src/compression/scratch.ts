/**
 * Memory that compressed records are decompressed into when they are looked at and not kept: one piece a thread, used again by every call. The
 * decoders of LZ4 and snappy blocks that work in it are WebAssembly, see wasm/block-decoders.wat.
 */
import { blockDecodersWasm } from './block-decoders-wasm.ts'

/** What is used of it here; TypeScript has its types among those of browsers. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

/** Larger inputs and outputs do not go through the scratch: at some 800 MB/s it keeps the event loop for 3 ms at most. */
const MAX_INPUT_BYTES = 1280 * 1024
export const MAX_SCRATCH_OUTPUT_BYTES = 2 * 1024 * 1024

/** The decoders copy in steps, and may run over the end of input and output by less than this. */
const SPARE_BYTES = 64
const OUTPUT_AT = MAX_INPUT_BYTES + SPARE_BYTES
const WASM_PAGE_BYTES = 64 * 1024

interface BlockDecoders {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  /** One block of LZ4. Returns where its output ends, `GARBAGE` or `TOO_LONG`. */
  lz4Block(at: number, end: number, outputAt: number, outputLimit: number): number
  /** The elements of a raw snappy block, behind its length, to exactly this output. Returns 0 or `GARBAGE`. */
  snappyBlock(at: number, end: number, outputAt: number, outputEnd: number): number
  /** As an int32. */
  xxHash32(at: number, end: number): number
}

/** What the decoders answer in place of a position. */
export const GARBAGE = -1
export const TOO_LONG = -2

export class Scratch {
  readonly decoders: BlockDecoders
  /** All of it, input and output: positions are the decoders'. */
  readonly bytes: Buffer
  readonly outputAt = OUTPUT_AT

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(blockDecodersWasm, 'base64'))
    this.decoders = new WebAssembly.Instance(module).exports as BlockDecoders
    const { memory } = this.decoders
    const wanted = OUTPUT_AT + MAX_SCRATCH_OUTPUT_BYTES + SPARE_BYTES
    memory.grow(Math.ceil((wanted - memory.buffer.byteLength) / WASM_PAGE_BYTES))
    this.bytes = Buffer.from(memory.buffer)
  }

  /** Copies what is to be decompressed to position 0. */
  take(input: Buffer): void {
    this.bytes.set(input, 0)
  }
}

let scratch: Scratch | undefined

/** The thread's scratch, made on first use; undefined when `input` is too large for it. */
export function scratchFor(input: Buffer): Scratch | undefined {
  if (input.length > MAX_INPUT_BYTES) return undefined
  scratch ??= new Scratch()
  return scratch
}
