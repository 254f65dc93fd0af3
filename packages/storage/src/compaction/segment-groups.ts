import { MAX_RELATIVE_OFFSET } from '../offset-index.ts'

export interface GroupedSegment {
  readonly baseOffset: number
  readonly sizeBytes: number
  readonly offsetIndexBytes: number
  readonly timeIndexBytes: number
}

/**
 * Puts neighbours together that become one segment each, so that segments which cleaning has made small do not stay many: by their sizes as they are, which
 * the outcome cannot exceed. Rules are those of Kafka 4.3's Cleaner.groupSegmentsBySize.
 * @param endOffset Where the last segment ends.
 */
export function groupSegments<T extends GroupedSegment>(
  segments: readonly T[],
  { maxBytes, maxIndexBytes, endOffset }: { maxBytes: number; maxIndexBytes: number; endOffset: number },
): T[][] {
  const groups: T[][] = []
  let group: T[] = []
  let bytes = 0
  let offsetIndexBytes = 0
  let timeIndexBytes = 0
  for (const [index, segment] of segments.entries()) {
    const lastOffset = (segments[index + 1]?.baseOffset ?? endOffset) - 1
    const fits =
      group.length > 0 &&
      bytes + segment.sizeBytes <= maxBytes &&
      offsetIndexBytes + segment.offsetIndexBytes <= maxIndexBytes &&
      timeIndexBytes + segment.timeIndexBytes <= maxIndexBytes &&
      // One without records names no offset, so it never keeps the next one apart.
      (segment.sizeBytes === 0 || lastOffset - group[0]!.baseOffset <= MAX_RELATIVE_OFFSET)
    if (!fits) {
      group = []
      groups.push(group)
      bytes = 0
      offsetIndexBytes = 0
      timeIndexBytes = 0
    }
    group.push(segment)
    bytes += segment.sizeBytes
    offsetIndexBytes += segment.offsetIndexBytes
    timeIndexBytes += segment.timeIndexBytes
  }
  return groups
}
