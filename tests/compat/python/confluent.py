"""What confluent-kafka (librdkafka) can do with a broker, against BOOTSTRAP. Prints 'ok NAME' a step."""
import sys
import threading
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType)

BOOTSTRAP = sys.argv[1]
CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
admin = AdminClient({'bootstrap.servers': BOOTSTRAP})


def step(function):
    function()
    print('ok', function.__name__, flush=True)


def restart_broker():
    print('RESTART', flush=True)
    assert sys.stdin.readline().strip() == 'DONE'


def done(futures):
    return {key: future.result(20) for key, future in futures.items()}


def eventually(holds, seconds=15):
    end = time.time() + seconds
    while not holds():
        assert time.time() < end, 'it did not come true in time'
        time.sleep(0.05)


def consumer_of(group='unused', **more):
    settings = {'bootstrap.servers': BOOTSTRAP, 'group.id': group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False}
    return Consumer({**settings, **{name.replace('_', '.'): value for name, value in more.items()}})


def drain(consumer, count, seconds=30):
    records, end = [], time.time() + seconds
    while len(records) < count and time.time() < end:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            assert message.error().code() in (KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART), message.error()
            continue
        records.append(message)
    assert len(records) >= count, f'{len(records)} of {count} records'
    return records


def produce(topic, values, settings=None, **each):
    producer = Producer({'bootstrap.servers': BOOTSTRAP, 'linger.ms': 5, **(settings or {})})
    failures = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None, **each)
    assert producer.flush(30) == 0 and not failures, failures


def admin_topics():
    done(admin.create_topics([NewTopic('made', 3, 1, config={'retention.ms': '600000'})]))
    eventually(lambda: 'made' in admin.list_topics().topics)
    assert len(admin.list_topics('made').topics['made'].partitions) == 3
    resource = ConfigResource(ResourceType.TOPIC, 'made')
    assert done(admin.describe_configs([resource]))[resource]['retention.ms'].value == '600000'
    change = ConfigEntry('max.message.bytes', '2000000', incremental_operation=AlterConfigOpType.SET)
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, 'made', incremental_configs=[change])]))
    eventually(lambda: done(admin.describe_configs([resource]))[resource]['max.message.bytes'].value == '2000000')
    done(admin.create_partitions([NewPartitions('made', 5)]))
    eventually(lambda: len(admin.list_topics('made').topics['made'].partitions) == 5)
    assert admin.describe_cluster().result(20).nodes
    done(admin.delete_topics(['made']))
    eventually(lambda: 'made' not in admin.list_topics().topics)


def every_codec_with_keys_headers_and_tombstones():
    for codec in CODECS:
        for idempotent in (False, True):
            topic = f'codec-{codec}-{idempotent}'
            producer = Producer({'bootstrap.servers': BOOTSTRAP, 'compression.type': codec, 'enable.idempotence': idempotent, 'linger.ms': 20})
            expected = []
            for i in range(300):
                key = None if i % 7 == 0 else b'key-%d' % (i % 11)
                value = None if i % 13 == 0 else b'value-%d-' % i + b'x' * (i % 50)
                expected.append((key, value))
                producer.produce(topic, value, key, partition=0, headers=[('h', b'1'), ('h', b'2'), ('null', None)])
            assert producer.flush(30) == 0
            consumer = consumer_of()
            consumer.assign([TopicPartition(topic, 0, 0)])
            records = drain(consumer, 300)
            assert [(record.key(), record.value()) for record in records] == expected
            assert all(record.headers() == [('h', b'1'), ('h', b'2'), ('null', None)] for record in records)
            assert [record.offset() for record in records] == list(range(300))
            consumer.close()


def seeks_pauses_and_offsets():
    start = int(time.time() * 1000)
    producer = Producer({'bootstrap.servers': BOOTSTRAP})
    for i in range(100):
        producer.produce('seeks', b'%d' % i, partition=0, timestamp=start + i * 10)
    assert producer.flush(20) == 0
    partition = TopicPartition('seeks', 0)
    consumer = consumer_of()
    assert consumer.get_watermark_offsets(partition) == (0, 100)
    assert consumer.offsets_for_times([TopicPartition('seeks', 0, start + 505)])[0].offset == 51
    consumer.assign([TopicPartition('seeks', 0, 0)])
    assert drain(consumer, 1)[0].offset() == 0
    consumer.seek(TopicPartition('seeks', 0, 90))
    assert drain(consumer, 10)[0].offset() == 90
    consumer.pause([partition])
    produce('seeks', [b'later'], partition=0)
    assert consumer.poll(1) is None
    consumer.resume([partition])
    assert drain(consumer, 1)[0].value() == b'later'
    consumer.close()
    offsets = admin.list_offsets({partition: OffsetSpec.max_timestamp()})[partition].result(20)
    assert offsets.offset == 99, offsets.offset  # the last one is stamped later than now
    low = done(admin.delete_records([TopicPartition('seeks', 0, 40)]))
    assert list(low.values())[0].low_watermark == 40


def group_of_three(topic, **settings):
    """A group that has the name of the topic reads all of it, while one of its members joins late and another one leaves."""
    done(admin.create_topics([NewTopic(topic, 6, 1)]))
    seen, stops, threads = set(), {}, {}

    def member(name):
        consumer = consumer_of(topic, **settings)
        consumer.subscribe([topic])
        while not stops[name].is_set():
            message = consumer.poll(0.2)
            if message is not None and not message.error():
                seen.add(message.value())
                consumer.commit(message, asynchronous=True)
        consumer.close()

    def start(name):
        stops[name] = threading.Event()
        threads[name] = threading.Thread(target=member, args=(name,), daemon=True)
        threads[name].start()

    start('a'), start('b')
    produce(topic, [b'1-%d' % i for i in range(500)])
    start('c')
    time.sleep(2)
    produce(topic, [b'2-%d' % i for i in range(500)])
    stops['a'].set()
    produce(topic, [b'3-%d' % i for i in range(500)])
    eventually(lambda: len(seen) == 1500, 40)
    for stop in stops.values():
        stop.set()
    for thread in threads.values():
        thread.join(20)


def group_of_three_with_one_joining_and_one_leaving():
    for strategy in ('range', 'cooperative-sticky'):
        group_of_three(f'grouped-{strategy}', partition_assignment_strategy=strategy, session_timeout_ms=10000)


def group_of_three_that_the_broker_assigns():
    for assignor in ('uniform', 'range'):
        group_of_three(f'next-{assignor}', group_protocol='consumer', group_remote_assignor=assignor)
        described = done(admin.describe_consumer_groups([f'next-{assignor}']))[f'next-{assignor}']
        assert (described.type.name, described.state.name) == ('CONSUMER', 'EMPTY'), described


def manual_and_automatic_commits():
    produce('commits', [b'%d' % i for i in range(50)], partition=0)
    consumer = consumer_of('manual')
    consumer.subscribe(['commits'])
    drain(consumer, 50)
    consumer.commit(offsets=[TopicPartition('commits', 0, 20, 'note')], asynchronous=False)
    assert consumer.committed([TopicPartition('commits', 0)])[0].offset == 20
    consumer.close()
    again = consumer_of('manual')
    again.subscribe(['commits'])
    assert drain(again, 30)[0].offset() == 20
    again.close()
    automatic = consumer_of('automatic', enable_auto_commit=True, auto_commit_interval_ms=200)
    automatic.subscribe(['commits'])
    drain(automatic, 50)
    eventually(lambda: automatic.poll(0.1) is None and automatic.committed([TopicPartition('commits', 0)])[0].offset == 50)
    automatic.close()


def static_members_and_regex():
    for name in ('logs-a', 'logs-b', 'other-c'):
        produce(name, [name.encode()])
    consumer = consumer_of('regex', group_instance_id='instance-1', topic_metadata_refresh_interval_ms=500)
    consumer.subscribe(['^logs-.*'])
    assert sorted(record.topic() for record in drain(consumer, 2)) == ['logs-a', 'logs-b']
    consumer.commit(asynchronous=False)  # or the rebalance for the new topic reads them again
    produce('logs-late', [b'late'])
    assert drain(consumer, 1)[0].topic() == 'logs-late'
    consumer.close()


def groups_are_described_changed_and_deleted():
    listed = admin.list_consumer_groups().result(20)
    assert 'manual' in [group.group_id for group in listed.valid]
    assert done(admin.describe_consumer_groups(['manual']))['manual'].state.name == 'EMPTY'
    target = ConsumerGroupTopicPartitions('manual', [TopicPartition('commits', 0, 7)])
    done(admin.alter_consumer_group_offsets([target]))
    offsets = done(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions('manual')]))['manual']
    assert offsets.topic_partitions[0].offset == 7
    done(admin.delete_consumer_groups(['manual']))


def transactional(transactional_id):
    producer = Producer({'bootstrap.servers': BOOTSTRAP, 'transactional.id': transactional_id})
    producer.init_transactions(30)
    return producer


def committed_values(topic):
    """What a reader of committed records gets, up to a record behind all transactions."""
    produce(topic, [b'end'], partition=0)
    consumer, values = consumer_of(isolation_level='read_committed'), []
    consumer.assign([TopicPartition(topic, 0, 0)])
    while b'end' not in values:
        values += [record.value() for record in drain(consumer, 1)]
    consumer.close()
    return values[:-1]


def transactions_are_committed_aborted_and_fenced():
    first = transactional('fenced')

    def send(producer, *values):
        producer.begin_transaction()
        for value in values:
            producer.produce('transactions', value, partition=0)

    send(first, b'a', b'b')
    first.commit_transaction(30)
    send(first, b'c')
    assert first.flush(30) == 0
    first.abort_transaction(30)
    send(first, b'd')
    first.commit_transaction(30)
    send(first, b'e')
    assert first.flush(30) == 0
    second = transactional('fenced')
    send(second, b'f')
    second.commit_transaction(30)
    try:
        first.commit_transaction(30)
        assert False, 'the first one is not fenced'
    except KafkaException as error:
        assert error.args[0].code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED), error
    assert committed_values('transactions') == [b'a', b'b', b'd', b'f']


def offsets_are_committed_with_a_transaction():
    produce('to-copy', [b'%d' % i for i in range(100)], partition=0)
    producer = transactional('copier')
    partition = TopicPartition('to-copy', 0)

    def copy(group, count, end):
        consumer = consumer_of(group, isolation_level='read_committed')
        consumer.subscribe(['to-copy'])
        records = drain(consumer, count)[:count]
        producer.begin_transaction()
        for record in records:
            producer.produce('copied', record.value(), partition=0)
        offset = TopicPartition('to-copy', 0, records[-1].offset() + 1)
        producer.send_offsets_to_transaction([offset], consumer.consumer_group_metadata(), 30)
        end(30)
        committed = consumer.committed([partition])[0].offset
        consumer.close()
        return committed

    assert copy('copiers', 40, producer.commit_transaction) == 40
    assert copy('copiers', 30, producer.abort_transaction) == 40
    assert copy('copiers', 60, producer.commit_transaction) == 100
    assert committed_values('copied') == [b'%d' % i for i in range(100)]

    # The group has moved on without this member.
    late = consumer_of('moved-on')
    late.subscribe(['to-copy'])
    drain(late, 1)
    metadata = late.consumer_group_metadata()
    late.close()
    producer.begin_transaction()
    producer.produce('copied', b'late', partition=0)
    try:
        producer.send_offsets_to_transaction([TopicPartition('to-copy', 0, 7)], metadata, 30)
        assert False, 'offsets of a member that has left are taken'
    except KafkaException as error:
        assert error.args[0].txn_requires_abort(), error
    producer.abort_transaction(30)


def nothing_is_lost_by_a_restart():
    produce('restarted', [b'%d' % i for i in range(200)], partition=0)
    consumer = consumer_of('restarted')
    consumer.subscribe(['restarted'])
    drain(consumer, 200)
    consumer.commit(offsets=[TopicPartition('restarted', 0, 150)], asynchronous=False)
    restart_broker()
    produce('restarted', [b'%d' % i for i in range(200, 300)], partition=0)
    assert [int(record.value()) for record in drain(consumer, 100)] == list(range(200, 300))
    consumer.close()
    again = consumer_of('restarted')
    again.subscribe(['restarted'])
    assert [int(record.value()) for record in drain(again, 150)] == list(range(150, 300))
    again.close()


for function in [admin_topics, every_codec_with_keys_headers_and_tombstones, seeks_pauses_and_offsets,
                 group_of_three_with_one_joining_and_one_leaving, manual_and_automatic_commits, static_members_and_regex,
                 groups_are_described_changed_and_deleted, group_of_three_that_the_broker_assigns,
                 transactions_are_committed_aborted_and_fenced, offsets_are_committed_with_a_transaction, nothing_is_lost_by_a_restart]:
    step(function)
