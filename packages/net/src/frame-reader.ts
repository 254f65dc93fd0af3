import { FrameMemory } from './frame-memory.ts'

/** A frame on the wire: its length as a big-endian int32, then that many bytes. */
export const FRAME_HEADER_BYTES = 4

/** So much of a frame must be missing to be worth reading it to where it belongs. */
const MIN_ROOM_BYTES = 32 * 1024

/** The peer declared a length no frame may have: what follows cannot be read as frames. */
export class FrameLengthError extends Error {
  override readonly name = 'FrameLengthError'
  constructor(declaredBytes: number, maxBytes: number) {
    super(`a frame of ${declaredBytes} bytes, where 0 to ${maxBytes} are allowed`)
  }
}

/**
 * Cuts length-prefixed frames from a stream. Each frame becomes a buffer of its own, copied once from the chunk it came in, so chunks may be
 * views on a read buffer that is used again at once. Who can read to a place of its choice reads the rest of a large frame to `room`, uncopied.
 */
export class FrameReader {
  readonly #maxFrameBytes: number
  readonly #memory: FrameMemory
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES)
  #headerBytes = 0
  /** The frame being received; undefined between frames. */
  #frame: Buffer | undefined
  #frameBytes = 0
  #declaredBytes = 0
  #ahead = 0

  /** @param memory Shared with others that read at the same time; a memory of its own when absent. */
  constructor(maxFrameBytes: number, memory: FrameMemory = new FrameMemory()) {
    this.#maxFrameBytes = maxFrameBytes
    this.#memory = memory
  }

  /** Bytes held for a frame that is not complete yet. */
  get partialBytes(): number {
    return this.#frame?.length ?? 0
  }

  /**
   * Takes the stream's next bytes and hands out every frame that they complete, in order, without its length.
   * @throws FrameLengthError for a negative length or one above the limit; frames before it have been handed out.
   */
  push(chunk: Uint8Array, onFrame: (frame: Buffer) => void): void {
    let at = 0
    const end = chunk.length
    while (at < end) {
      if (this.#frame === undefined) {
        at = this.#pushHeader(chunk, at)
        if (this.#headerBytes < FRAME_HEADER_BYTES) return
        const declared = this.#header.readInt32BE(0)
        if (declared < 0 || declared > this.#maxFrameBytes) throw new FrameLengthError(declared, this.#maxFrameBytes)
        this.#declaredBytes = declared
        const { buffer, ahead } = this.#memory.begin(declared, end - at)
        this.#frame = buffer
        this.#ahead = ahead
        this.#frameBytes = 0
      }
      at = this.#pushBody(chunk, at)
      this.#finish(onFrame)
    }
  }

  /** Hands the frame out if it is complete. */
  #finish(onFrame: (frame: Buffer) => void): void {
    if (this.#frameBytes < this.#declaredBytes) return
    const frame = this.#frame!
    this.#frame = undefined
    this.#headerBytes = 0
    this.#memory.arrived(this.#ahead)
    this.#ahead = 0
    onFrame(frame)
  }

  /** Where the next bytes belong, when a frame lacks enough of them; valid until the next call of anything. `arrived` says how many came. */
  get room(): Uint8Array | undefined {
    if (this.#frame === undefined) return undefined
    const end = Math.min(this.#declaredBytes, this.#frame.length)
    return end - this.#frameBytes < MIN_ROOM_BYTES ? undefined : this.#frame.subarray(this.#frameBytes, end)
  }

  /** As push(), of bytes that lie in `room` already, from its beginning on. */
  arrived(count: number, onFrame: (frame: Buffer) => void): void {
    this.#frameBytes += count
    this.#finish(onFrame)
  }

  /** The stream has ended: what was received of a frame is dropped. */
  end(): void {
    if (this.#frame === undefined) return
    this.#memory.arrived(this.#ahead)
    this.#ahead = 0
    this.#memory.release(this.#frame)
    this.#frame = undefined
    this.#headerBytes = 0
  }

  #pushHeader(chunk: Uint8Array, from: number): number {
    let at = from
    while (this.#headerBytes < FRAME_HEADER_BYTES && at < chunk.length) this.#header[this.#headerBytes++] = chunk[at++]!
    return at
  }

  #pushBody(chunk: Uint8Array, from: number): number {
    const count = Math.min(chunk.length - from, this.#declaredBytes - this.#frameBytes)
    const needed = this.#frameBytes + count
    while (needed > this.#frame!.length) this.#frame = this.#memory.grow(this.#frame!, this.#frameBytes, this.#declaredBytes)
    this.#frame!.set(count === chunk.length ? chunk : chunk.subarray(from, from + count), this.#frameBytes)
    this.#frameBytes = needed
    return from + count
  }
}
