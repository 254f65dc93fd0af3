import kafkajs from 'kafkajs'
import ours from 'tidelog/kafkajs'

export type Library = typeof kafkajs

/**
 * kafkajs itself, and ours under its interface. To the compiler an enumeration of ours is none of kafkajs's, so what is ours is taken for
 * kafkajs here; that it compiles in its place is checked apart.
 */
export const libraries: readonly { readonly name: string; readonly library: Library }[] = [
  { name: 'kafkajs', library: kafkajs },
  { name: 'tidelog/kafkajs', library: ours as unknown as Library },
]
