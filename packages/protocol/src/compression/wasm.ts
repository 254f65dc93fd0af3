/** What is used of it here; TypeScript has its types among those of browsers. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

export interface WasmMemory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

const PAGE_BYTES = 64 * 1024

/** Makes an instance with a memory of its own, of at least `memoryBytes`. @param base64 Assembled by `npm run wasm`. */
export function instantiate<Exports extends { readonly memory: WasmMemory }>(base64: string, memoryBytes: number): Exports {
  const module = new WebAssembly.Module(Buffer.from(base64, 'base64'))
  const exports = new WebAssembly.Instance(module).exports as Exports
  const { memory } = exports
  memory.grow(Math.ceil((memoryBytes - memory.buffer.byteLength) / PAGE_BYTES))
  return exports
}
