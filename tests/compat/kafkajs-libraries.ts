import kafkajs from 'kafkajs'
import ours from 'tidelog/kafkajs'

export type Library = typeof kafkajs

/** kafkajs itself, and ours under its interface. */
export const libraries: readonly { readonly name: string; readonly library: Library }[] = [
  { name: 'kafkajs', library: kafkajs },
  { name: 'tidelog/kafkajs', library: ours },
]
