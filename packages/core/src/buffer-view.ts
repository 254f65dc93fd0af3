type BufferConstructor = new (memory: ArrayBufferLike, byteOffset: number, length: number) => Buffer

/** The class behind `Buffer`, whose constructor makes a view in half the time of `subarray`: it is what Node's own methods call. */
const View = (Buffer as unknown as { readonly [Symbol.species]?: BufferConstructor })[Symbol.species]
const isUsable = View !== undefined && View.prototype === Buffer.prototype

/** `length` bytes of `memory` from `at` on, uncopied. @throws RangeError when they are not all there */
export function viewOf(memory: ArrayBufferLike, at: number, length: number): Buffer {
  return isUsable ? new View(memory, at, length) : Buffer.from(memory, at, length)
}
