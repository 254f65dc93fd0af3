import { Socket } from 'node:net'

const READ_BUFFER_BYTES = 256 * 1024

/**
 * One buffer for everything a process reads from its sockets. libuv asks for the buffer, reads and reports in one go on the loop, so no two
 * sockets use it at a time; what a callback wants to keep, it copies. On Windows reads are posted ahead of data and would collide.
 */
let buffer: Buffer | undefined
const canShare = process.platform !== 'win32'

function sharedBuffer(): Buffer {
  buffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
  return buffer
}

/** Takes bytes that are valid only during the call. */
export type OnBytes = (bytes: Uint8Array) => void

/** Who knows better than the shared buffer where some bytes belong. */
export interface ReadTarget {
  /** Where to read next; undefined: to the shared buffer. */
  readonly room: Uint8Array | undefined
  /** So many bytes have been read to where `room` was. */
  onArrived(count: number): void
}

export interface OnRead {
  readonly buffer: Uint8Array | (() => Uint8Array)
  readonly callback: (bytesRead: number, buffer: Uint8Array) => boolean
}

/** The `onread` option of a client socket; undefined where the default stream must do (see `rewireAccepted`). */
export function sharedOnread(onBytes: OnBytes, target?: ReadTarget): OnRead | undefined {
  if (!canShare) return undefined
  const shared = sharedBuffer()
  return {
    buffer: target === undefined ? shared : () => target.room ?? shared,
    callback: (bytesRead, bytes) => {
      if (bytes === shared) onBytes(bytes.subarray(0, bytesRead))
      else target!.onArrived(bytesRead)
      return true
    },
  }
}

interface HandleOwner {
  _handle: object | null
}

/**
 * A socket on the accepted connection of `accepted` that reads into the shared buffer. `net.Server` has no `onread` option, so the handle
 * moves to a socket made with one; where there is no such handle the accepted socket itself is used, as an ordinary stream.
 */
export function rewireAccepted(accepted: Socket, onBytes: OnBytes): Socket {
  const owner = accepted as unknown as HandleOwner
  const onread = sharedOnread(onBytes)
  const handle = owner._handle
  if (onread === undefined || handle === null || typeof handle !== 'object' || !('useUserBuffer' in handle)) {
    accepted.on('data', onBytes)
    return accepted
  }
  owner._handle = null
  accepted.destroy()
  // `handle` is honoured by the constructor but missing from its published options.
  const options = { handle, onread, allowHalfOpen: true, readable: true, writable: true }
  return new Socket(options as unknown as ConstructorParameters<typeof Socket>[0])
}
