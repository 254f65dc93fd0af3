import { deflateRawSync, constants as zlib } from 'node:zlib'
import { batchHeader, compressSync } from '@tidelog/protocol'
import { batchOf } from './batches.ts'

const MIB = 1024 * 1024

/** Compressed bytes that unpack to far more, in the framing that a batch of that codec has: each the densest its format allows, in about a megabyte. */
const bombs = {
  /** 1 GB: one deflated MiB of zeros, a thousand times; its checksum is never reached. */
  gzip(): Buffer {
    const block = deflateRawSync(Buffer.alloc(MIB), { level: 9, finishFlush: zlib.Z_FULL_FLUSH })
    return Buffer.concat([Buffer.from('1f8b0800000000000003', 'hex'), ...Array<Buffer>(1000).fill(block), Buffer.from([3, 0])])
  },
  /** 21 MiB: snappy makes 64 bytes of 3 at most. */
  snappy(): Buffer {
    const header = compressSync('snappy', Buffer.alloc(0)).subarray(0, 16)
    const block = compressSync('snappy', Buffer.alloc(32 * 1024)).subarray(16)
    return Buffer.concat([header, ...Array<Buffer>(Math.floor((MIB - 200) / block.length)).fill(block)])
  },
  /** 240 MiB: one block of 64 KiB, as often as it fits. */
  lz4(): Buffer {
    const frame = compressSync('lz4', Buffer.alloc(64 * 1024))
    const block = frame.subarray(7, frame.length - 4)
    const blocks = Array<Buffer>(Math.floor((MIB - 200) / block.length)).fill(block)
    return Buffer.concat([frame.subarray(0, 7), ...blocks, Buffer.alloc(4)])
  },
  /** 32 GiB: blocks that repeat one byte 128 KiB times, 4 bytes each. */
  zstd(): Buffer {
    const header = Buffer.from('28b52ffd' + '00' + '58', 'hex') // a window of 2 MiB, no content size
    const block = Buffer.from([0x02 | ((128 * 1024 * 8) & 0xff), ((128 * 1024) >> 5) & 0xff, (128 * 1024) >> 13, 0])
    const last = Buffer.from(block)
    last[0]! |= 1
    return Buffer.concat([header, ...Array<Buffer>(250_000).fill(block), last])
  },
} as const

export type BombCodec = keyof typeof bombs

/** A batch of one small record's header, sound but for what its records unpack to. */
export function bombOf(codec: BombCodec): Buffer {
  const payload = bombs[codec]()
  const batch = Buffer.concat([batchOf([{}], 'none').subarray(0, 61), payload])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt16BE({ gzip: 1, snappy: 2, lz4: 3, zstd: 4 }[codec], 21)
  batchHeader.setCrc(batch, 0)
  return batch
}
