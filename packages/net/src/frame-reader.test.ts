import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { FrameReader } from './frame-reader.ts'

const MIB = 1024 * 1024

test('frames are the same whether their bytes are pushed or read to where they belong, however the stream is split', () => {
  const random = seededRandom(1)
  // The last is too large to get all of its memory at once.
  const sizes = [0, 10, 40_000, 3, 300_000, 2 * MIB, 1, 17 * MIB]
  const frames = sizes.map((size, index) => Buffer.alloc(size, index + 1))
  const stream = Buffer.concat(frames.flatMap((frame) => [lengthOf(frame), frame]))
  const reader = new FrameReader(20 * MIB)
  const received: Buffer[] = []
  let inPlace = 0
  for (let at = 0; at < stream.length; ) {
    const { room } = reader
    const count = Math.min(stream.length - at, 1 + random.int(300_000), room?.length ?? 256 * 1024)
    if (room === undefined) reader.push(stream.subarray(at, at + count), (frame) => received.push(frame))
    else {
      room.set(stream.subarray(at, at + count))
      reader.arrived(count, (frame) => received.push(frame))
      inPlace += count
    }
    at += count
  }
  assert.deepEqual(
    received.map((frame, index) => frame.equals(frames[index]!)),
    sizes.map(() => true),
  )
  assert.ok(inPlace > stream.length / 2, `${inPlace} of ${stream.length} bytes`)
  assert.equal(reader.room, undefined)
})

test('only the rest of one frame is read in place: never the next one, nor a small rest', () => {
  const reader = new FrameReader(MIB)
  const nobody = () => assert.fail('no frame is complete')
  const roomBytes = () => reader.room?.length
  const frame = Buffer.alloc(100_000)
  reader.push(lengthOf(frame).subarray(0, 3), nobody)
  assert.equal(roomBytes(), undefined)
  reader.push(Buffer.concat([lengthOf(frame).subarray(3), frame.subarray(0, 10)]), nobody)
  assert.equal(roomBytes(), 99_990)
  reader.arrived(90_000, nobody)
  assert.equal(roomBytes(), undefined)
  let complete = 0
  reader.push(Buffer.concat([frame.subarray(90_010), lengthOf(frame)]), () => complete++)
  assert.equal(complete, 1)
})

function lengthOf(frame: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(frame.length)
  return length
}
