import type { TopicsView, TopicView } from '@tidelog/coordinator'
import type { Clock } from '@tidelog/core'
import type { MetadataImage, TopicImage } from '@tidelog/metadata'

/** The topics of the metadata image, as the group coordinators look at them. */
export class ImageTopics implements TopicsView {
  readonly #image: MetadataImage
  readonly #clock: Clock
  /** Groups keep it in the log, so it has to grow across restarts: the wall clock at the change. */
  #versionOfNewTopics: number
  readonly #known = new Set<string>()

  constructor(image: MetadataImage, clock: Clock) {
    this.#image = image
    this.#clock = clock
    this.#versionOfNewTopics = clock.now()
    for (const { topicId } of image.topics.values()) this.#known.add(topicId)
  }

  get versionOfNewTopics(): number {
    return this.#versionOfNewTopics
  }

  /** To be told of each change of the image. */
  changed({ changedTopics, deletedTopics }: { changedTopics: ReadonlySet<string>; deletedTopics: ReadonlySet<string> }): void {
    const sizeBefore = this.#known.size
    for (const name of changedTopics) this.#known.add(this.#image.topic(name)!.topicId)
    if (this.#known.size > sizeBefore) this.#versionOfNewTopics = Math.max(this.#clock.now(), this.#versionOfNewTopics + 1)
    if (deletedTopics.size === 0) return
    this.#known.clear()
    for (const { topicId } of this.#image.topics.values()) this.#known.add(topicId)
  }

  byName(name: string): TopicView | undefined {
    return this.#viewOf(this.#image.topic(name))
  }

  byId(topicId: string): TopicView | undefined {
    return this.#viewOf(this.#image.topicById(topicId))
  }

  names(): Iterable<string> {
    return this.#image.topics.keys()
  }

  #viewOf(topic: TopicImage | undefined): TopicView | undefined {
    return (
      topic && {
        name: topic.name,
        topicId: topic.topicId,
        partitionCount: topic.partitions.size,
        racksOf: (index) => this.#racksOf(topic, index),
      }
    )
  }

  #racksOf({ partitions }: TopicImage, index: number): string[] {
    const racks = new Set<string>()
    for (const id of partitions.get(index)?.replicas ?? []) {
      const rack = this.#image.brokers.get(id)?.rack
      if (rack != null) racks.add(rack)
    }
    return [...racks]
  }
}
