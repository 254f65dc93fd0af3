"""A member of a group, by librdkafka: bootstrap, group, topic, strategy (or 'consumer' for KIP-848). Tells as VerifiableConsumer does what it owns and reads."""
import json
import signal
import sys

from confluent_kafka import Consumer, KafkaException

bootstrap, group, topic, strategy = sys.argv[1:]
settings = {
    'bootstrap.servers': bootstrap,
    'group.id': group,
    'auto.offset.reset': 'earliest',
    'enable.auto.commit': False,
    'fetch.wait.max.ms': 50,
}
if strategy == 'consumer':
    settings['group.protocol'] = 'consumer'
else:
    settings |= {'partition.assignment.strategy': strategy, 'session.timeout.ms': 6000, 'heartbeat.interval.ms': 300}
stopping = False


def stop(*_):
    global stopping
    stopping = True


def tell(name, partitions):
    print(json.dumps({'name': name, 'partitions': partitions}), flush=True)


def rows(partitions):
    return [{'topic': p.topic, 'partition': p.partition} for p in partitions]


signal.signal(signal.SIGTERM, stop)
consumer = Consumer(settings)
consumer.subscribe(
    [topic],
    on_assign=lambda _, partitions: tell('partitions_assigned', rows(partitions)),
    on_revoke=lambda _, partitions: tell('partitions_revoked', rows(partitions)),
    on_lost=lambda _, partitions: tell('partitions_lost', rows(partitions)),
)
while not stopping:
    offsets = {}
    for message in consumer.consume(200, 0.1):
        if message.error():
            print(message.error(), file=sys.stderr, flush=True)
        else:
            offsets.setdefault(message.partition(), []).append(message.offset())
    if offsets:
        ranges = [{'topic': topic, 'partition': p, 'minOffset': min(o), 'maxOffset': max(o)} for p, o in offsets.items()]
        tell('records_consumed', ranges)
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as e:
            print(e, file=sys.stderr, flush=True)
consumer.close()
