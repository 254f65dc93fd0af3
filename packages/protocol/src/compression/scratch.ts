/**
 * Memory that compressed records are decompressed into when they are looked at and not kept: one piece a thread, used again by every call. The
 * decoders of LZ4 and snappy blocks that work in it are WebAssembly, see wasm/block-decoders.wat.
 */
import { blockDecodersWasm } from './block-decoders-wasm.ts'
import { LARGEST_BLOCK_BYTES } from './lz4-frame.ts'
import { instantiate, type WasmMemory } from './wasm.ts'

/** Larger inputs and outputs do not go through the scratch: at some 800 MB/s it keeps the event loop for 3 ms at most. */
const MAX_INPUT_BYTES = 1280 * 1024
export const MAX_SCRATCH_OUTPUT_BYTES = 2 * 1024 * 1024

/** The decoders copy in steps, and may run over the end of input and output by less than this. */
const SPARE_BYTES = 64

interface BlockDecoders {
  readonly memory: WasmMemory
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
  readonly outputAt: number

  constructor({ inputBytes, outputBytes }: { readonly inputBytes: number; readonly outputBytes: number }) {
    this.outputAt = inputBytes + SPARE_BYTES
    this.decoders = instantiate(blockDecodersWasm, this.outputAt + outputBytes + SPARE_BYTES)
    this.bytes = Buffer.from(this.decoders.memory.buffer)
  }

  /** Copies what is to be decompressed to position 0. */
  take(input: Buffer): void {
    this.bytes.set(input, 0)
  }
}

let scratch: Scratch | undefined
let isRoomy = false

/** The thread's scratch, made on first use; undefined when `input` is too large for it. */
export function scratchFor(input: Buffer): Scratch | undefined {
  if (input.length > MAX_INPUT_BYTES) return undefined
  scratch ??= new Scratch({ inputBytes: MAX_INPUT_BYTES, outputBytes: MAX_SCRATCH_OUTPUT_BYTES })
  return scratch
}

/** The thread's scratch, with room for any block of LZ4 from now on. */
export function roomyScratch(): Scratch {
  if (scratch === undefined || !isRoomy) scratch = new Scratch({ inputBytes: LARGEST_BLOCK_BYTES, outputBytes: LARGEST_BLOCK_BYTES })
  isRoomy = true
  return scratch
}
