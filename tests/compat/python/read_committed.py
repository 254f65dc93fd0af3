"""BOOTSTRAP TOPIC COUNT: prints the values of committed records as JSON, a list a partition. One more than COUNT is waited for."""
import json
import sys
import time

from confluent_kafka import Consumer, TopicPartition

bootstrap, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': 'unused', 'enable.auto.commit': False,
                     'isolation.level': 'read_committed', 'auto.offset.reset': 'earliest'})
partitions = sorted(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
values = [[] for _ in partitions]
read = 0
deadline = time.time() + 40
quiet = time.time()
while time.time() < deadline and not (read >= count and time.time() - quiet > 1) and read <= count:
    for message in consumer.consume(1000, 0.2):
        if message.error():
            raise Exception(message.error())
        values[message.partition()].append(message.value().decode())
        read += 1
        quiet = time.time()
print(json.dumps(values))
