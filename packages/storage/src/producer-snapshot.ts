import { crc32c } from '@tidelog/core'

/*
 * NNN.snapshot: what is known of producers when the log ends at offset NNN; big-endian:
 *   0  int16   version, 1
 *   2  uint32  CRC-32C of all that follows
 *   6  int32   number of entries, 46 bytes each:
 *        0  int64  producer id
 *        8  int16  producer epoch
 *       10  int32  last sequence number, -1 when no batch is known
 *       14  int64  last offset of the last batch, -1 likewise
 *       22  int32  last offset - first offset of that batch
 *       26  int64  timestamp of the last append, ms since the Unix epoch
 *       34  int32  epoch of the transaction coordinator that wrote the last marker, -1 when there was none
 *       38  int64  first offset of the open transaction, -1 when none is open
 */
const VERSION = 1
const HEADER_BYTES = 10
const CRC_FROM = 6
const ENTRY_BYTES = 46

export interface ProducerSnapshotEntry {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  readonly lastOffset: number
  readonly offsetDelta: number
  readonly timestamp: number
  readonly coordinatorEpoch: number
  readonly currentTransactionFirstOffset: number
}

export function encodeProducerSnapshot(entries: readonly ProducerSnapshotEntry[]): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + entries.length * ENTRY_BYTES)
  bytes.writeInt16BE(VERSION, 0)
  bytes.writeInt32BE(entries.length, 6)
  let at = HEADER_BYTES
  for (const entry of entries) {
    bytes.writeBigInt64BE(BigInt(entry.producerId), at)
    bytes.writeInt16BE(entry.producerEpoch, at + 8)
    bytes.writeInt32BE(entry.lastSequence, at + 10)
    bytes.writeBigInt64BE(BigInt(entry.lastOffset), at + 14)
    bytes.writeInt32BE(entry.offsetDelta, at + 22)
    bytes.writeBigInt64BE(BigInt(entry.timestamp), at + 26)
    bytes.writeInt32BE(entry.coordinatorEpoch, at + 34)
    bytes.writeBigInt64BE(BigInt(entry.currentTransactionFirstOffset), at + 38)
    at += ENTRY_BYTES
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(CRC_FROM)), 2)
  return bytes
}

/** The entries, or what is wrong with the bytes. */
export function decodeProducerSnapshot(bytes: Buffer): ProducerSnapshotEntry[] | string {
  if (bytes.length < HEADER_BYTES) return `it has ${bytes.length} bytes`
  if (bytes.readInt16BE(0) !== VERSION) return `version ${bytes.readInt16BE(0)} is not known`
  if (bytes.readUInt32BE(2) !== crc32c(bytes.subarray(CRC_FROM))) return 'its checksum is wrong'
  const count = bytes.readInt32BE(6)
  if (count < 0 || bytes.length !== HEADER_BYTES + count * ENTRY_BYTES) return `it counts ${count} entries in ${bytes.length} bytes`
  const entries: ProducerSnapshotEntry[] = []
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    entries.push({
      producerId: Number(bytes.readBigInt64BE(at)),
      producerEpoch: bytes.readInt16BE(at + 8),
      lastSequence: bytes.readInt32BE(at + 10),
      lastOffset: Number(bytes.readBigInt64BE(at + 14)),
      offsetDelta: bytes.readInt32BE(at + 22),
      timestamp: Number(bytes.readBigInt64BE(at + 26)),
      coordinatorEpoch: bytes.readInt32BE(at + 34),
      currentTransactionFirstOffset: Number(bytes.readBigInt64BE(at + 38)),
    })
  }
  return entries
}
