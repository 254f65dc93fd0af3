"""Everything issue-worthy that kafka-python can do, against BOOTSTRAP. Prints 'ok NAME' a step; asks for a restart with 'RESTART'."""
import json
import sys
import threading
import time
import uuid

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.structs import OffsetAndMetadata

BOOTSTRAP = sys.argv[1]
VERSION = tuple(int(part) for part in kafka.__version__.split('.')[:2])
CODECS = [None, 'gzip', 'snappy', 'lz4', 'zstd']


def step(function):
    function()
    print('ok', function.__name__, flush=True)


def eventually(holds, seconds=10):
    end = time.time() + seconds
    while not holds():
        assert time.time() < end, 'it did not come true in time'
        time.sleep(0.05)


def restart_broker():
    print('RESTART', flush=True)
    assert sys.stdin.readline().strip() == 'DONE'


def committed(offset, metadata=''):
    """OffsetAndMetadata grew a leader epoch after 2.0.2."""
    return OffsetAndMetadata(offset, metadata, -1) if 'leader_epoch' in OffsetAndMetadata._fields else OffsetAndMetadata(offset, metadata)


def drain(consumer, count, seconds=30):
    records, end = [], time.time() + seconds
    while len(records) < count and time.time() < end:
        for batch in consumer.poll(timeout_ms=500).values():
            records.extend(batch)
    assert len(records) >= count, f'{len(records)} of {count} records'
    return records


def admin_topics():
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    admin.create_topics([NewTopic('made', num_partitions=3, replication_factor=1, topic_configs={'retention.ms': '600000'})])
    assert 'made' in admin.list_topics()
    described = admin.describe_topics(['made'])
    assert len(described[0]['partitions']) == 3, described
    resource = ConfigResource(ConfigResourceType.TOPIC, 'made')
    assert '600000' in str(admin.describe_configs([resource]))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, 'made', configs={'max.message.bytes': '2000000'})])
    eventually(lambda: '2000000' in str(admin.describe_configs([resource])))
    admin.create_partitions({'made': NewPartitions(5)})
    eventually(lambda: len(admin.describe_topics(['made'])[0]['partitions']) == 5)
    admin.delete_topics(['made'])
    eventually(lambda: 'made' not in admin.list_topics())
    admin.close()


def key_and_value(i):
    """Null keys, tombstones, and ordinary records; this client refuses a record that has neither."""
    if i % 13 == 0:
        return b'deleted-%d' % i, None
    return None if i % 7 == 0 else b'key-%d' % (i % 11), b'value-%d-' % i + b'x' * (i % 50)


def every_codec_with_keys_headers_and_tombstones():
    for codec in CODECS:
        topic = f'codec-{codec or "none"}'
        producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, compression_type=codec, acks='all', linger_ms=20)
        for i in range(300):
            key, value = key_and_value(i)
            producer.send(topic, value=value, key=key, headers=[('h', b'1'), ('h', b'2'), ('empty', b'')], partition=0)
        producer.flush()
        producer.close()
        consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset='earliest', enable_auto_commit=False)
        consumer.assign([TopicPartition(topic, 0)])
        records = drain(consumer, 300)
        for i, record in enumerate(records):
            assert record.offset == i
            assert (record.key, record.value) == key_and_value(i)
            assert list(record.headers) == [('h', b'1'), ('h', b'2'), ('empty', b'')], record.headers
        consumer.close()


def seeks_pauses_and_offsets():
    topic, partition = 'seeks', TopicPartition('seeks', 0)
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    start = int(time.time() * 1000)
    for i in range(100):
        producer.send(topic, b'%d' % i, timestamp_ms=start + i * 10, partition=0)
    producer.flush()
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, enable_auto_commit=False)
    consumer.assign([partition])
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 100}
    assert consumer.offsets_for_times({partition: start + 505})[partition].offset == 51
    assert consumer.offsets_for_times({partition: start + 10_000_000})[partition] is None
    consumer.seek(partition, 90)
    assert drain(consumer, 10)[0].offset == 90
    consumer.seek_to_beginning(partition)
    assert drain(consumer, 1)[0].offset == 0
    consumer.seek_to_end(partition)
    assert consumer.position(partition) == 100
    consumer.pause(partition)
    producer.send(topic, b'later', partition=0)
    producer.flush()
    assert consumer.poll(timeout_ms=500) == {}
    consumer.resume(partition)
    assert drain(consumer, 1)[0].value == b'later'
    consumer.close()
    producer.close()


def group_of_three_with_one_joining_and_one_leaving():
    topic = 'grouped'
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    admin.create_topics([NewTopic(topic, num_partitions=6, replication_factor=1)])
    admin.close()
    seen, lock, stop, died = {}, threading.Lock(), {}, []

    def member(name):
        try:
            read_until_stopped(name)
        except Exception as error:
            died.append((name, error))

    def read_until_stopped(name):
        consumer = KafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id='three', auto_offset_reset='earliest',
                                 enable_auto_commit=False, session_timeout_ms=10000, heartbeat_interval_ms=500)
        while not stop[name].is_set():
            for batch in consumer.poll(timeout_ms=200).values():
                with lock:
                    for record in batch:
                        seen[record.value] = seen.get(record.value, 0) + 1
            try:
                consumer.commit()
            except (kafka.errors.CommitFailedError, kafka.errors.RebalanceInProgressError):
                pass  # a rebalance is under way or took the partitions away; their next owner reads the records again
        consumer.close()

    threads = {}

    def start(name):
        stop[name] = threading.Event()
        threads[name] = threading.Thread(target=member, args=(name,), daemon=True)
        threads[name].start()

    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, linger_ms=5)
    start('a'), start('b')
    for i in range(3000):
        producer.send(topic, b'r%d' % i)
        if i == 1000:
            producer.flush()
            start('c')
            time.sleep(2)
        if i == 2000:
            producer.flush()
            stop['a'].set()
    producer.flush()
    deadline = time.time() + 40
    while len(seen) < 3000 and not died:
        assert time.time() < deadline, f'{len(seen)} of 3000 seen'
        time.sleep(0.1)
    for event in stop.values():
        event.set()
    for thread in threads.values():
        thread.join(20)
    assert not died, died
    producer.close()


def manual_and_automatic_commits():
    topic, partition = 'commits', TopicPartition('commits', 0)
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    for i in range(50):
        producer.send(topic, b'%d' % i, partition=0)
    producer.flush()
    consumer = KafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id='manual', auto_offset_reset='earliest', enable_auto_commit=False)
    drain(consumer, 50)
    consumer.commit({partition: committed(20, 'note')})
    assert consumer.committed(partition) == 20
    consumer.close()
    again = KafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id='manual', auto_offset_reset='earliest', enable_auto_commit=False)
    assert drain(again, 30)[0].offset == 20
    again.close()
    automatic = KafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id='automatic', auto_offset_reset='earliest', auto_commit_interval_ms=200)
    drain(automatic, 50)
    deadline = time.time() + 10
    while automatic.committed(partition) != 50:
        automatic.poll(timeout_ms=100)
        assert time.time() < deadline
    automatic.close()


def regex_subscription():
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    for name in ['logs-a', 'logs-b', 'other-c']:
        producer.send(name, name.encode())
    producer.flush()
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id='regex', auto_offset_reset='earliest', metadata_max_age_ms=1000)
    consumer.subscribe(pattern='^logs-.*')
    assert sorted(record.topic for record in drain(consumer, 2)) == ['logs-a', 'logs-b']
    producer.send('logs-late', b'late')
    producer.flush()
    assert drain(consumer, 1)[0].topic == 'logs-late'
    consumer.close()
    producer.close()


def groups_are_described_and_deleted():
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)

    def call(name, *arguments):
        """Version 3 dropped 'consumer' from the names."""
        return getattr(admin, name, None)(*arguments) if hasattr(admin, name) else getattr(admin, name.replace('consumer_', ''))(*arguments)

    assert "'manual'" in str(call('list_consumer_groups'))
    assert 'manual' in str(call('describe_consumer_groups', ['manual']))
    offsets = call('list_consumer_group_offsets', 'manual')
    assert TopicPartition('commits', 0) in offsets.get('manual', offsets)
    call('delete_consumer_groups', ['manual'])
    assert "'manual'" not in str(call('list_consumer_groups'))
    admin.close()


def nothing_is_lost_by_a_restart():
    topic = 'restarted-' + uuid.uuid4().hex
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, acks='all', retries=10)
    for i in range(200):
        producer.send(topic, b'%d' % i, partition=0).get(30)
    consumer = KafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id='restarted', auto_offset_reset='earliest', enable_auto_commit=False)
    assert len(drain(consumer, 200)) == 200
    consumer.commit({TopicPartition(topic, 0): committed(150)})
    consumer.close()
    restart_broker()
    for i in range(200, 300):
        producer.send(topic, b'%d' % i, partition=0).get(30)
    consumer = KafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id='restarted', auto_offset_reset='earliest', enable_auto_commit=False)
    assert [int(record.value) for record in drain(consumer, 150)] == list(range(150, 300))
    consumer.close()
    producer.close()


def walk_through_bankbranch():
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP, client_id='test')
    admin.create_topics(new_topics=[NewTopic(name='bankbranch', num_partitions=2, replication_factor=1)])
    everything = {'config_filter': 'all'} if VERSION >= (3, 0) else {}  # version 3 leaves the defaults out unless asked
    described = str(admin.describe_configs(config_resources=[ConfigResource(ConfigResourceType.TOPIC, 'bankbranch')], **everything))
    assert 'bankbranch' in described and 'cleanup.policy' in described, described
    admin.close()
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, value_serializer=lambda value: json.dumps(value).encode('utf-8'))
    producer.send('bankbranch', {'atmid': 1, 'transid': 100}, partition=0)
    producer.send('bankbranch', {'atmid': 2, 'transid': 101}, partition=1)
    producer.flush()
    consumer = KafkaConsumer('bankbranch', group_id=None, bootstrap_servers=[BOOTSTRAP], auto_offset_reset='earliest', consumer_timeout_ms=3000)
    got = sorted(json.loads(message.value.decode('utf-8'))['transid'] for message in consumer)
    assert got == [100, 101], got
    consumer.close()


def walk_through_keys_msgpack_and_callbacks():
    import msgpack
    delivered, failed = [], []
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, value_serializer=msgpack.dumps, retries=5)
    for i in range(10):
        producer.send('msgpack-topic', {'n': i}, key=b'same').add_callback(delivered.append).add_errback(failed.append)
    producer.flush()
    assert len(delivered) == 10 and not failed
    assert len({metadata.partition for metadata in delivered}) == 1
    consumer = KafkaConsumer('msgpack-topic', bootstrap_servers=BOOTSTRAP, group_id='my-group', auto_offset_reset='earliest',
                             value_deserializer=msgpack.unpackb, consumer_timeout_ms=5000)
    assert [message.value['n'] for message in consumer] == list(range(10))
    consumer.close()
    producer.close()


def idempotent_producer():
    if VERSION < (2, 1):
        return
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=True)
    for i in range(500):
        producer.send('idempotent', b'%d' % i, partition=0)
    producer.flush()
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP)
    assert consumer.end_offsets([TopicPartition('idempotent', 0)]) == {TopicPartition('idempotent', 0): 500}
    consumer.close()
    producer.close()


def transactions():
    if VERSION < (3, 0):
        return
    from kafka import errors

    def transactional(transactional_id):
        producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=transactional_id)
        producer.init_transactions()
        return producer

    def send(producer, *values):
        producer.begin_transaction()
        for value in values:
            producer.send('transactions', value, partition=0).get(30)

    first = transactional('python')
    send(first, b'a', b'b')
    first.commit_transaction()
    send(first, b'c')
    first.abort_transaction()
    send(first, b'd')
    source = TopicPartition('transactions', 0)
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id='transactors', isolation_level='read_committed', auto_offset_reset='earliest', enable_auto_commit=False)
    consumer.assign([source])
    first.send_offsets_to_transaction({source: committed(2)}, 'transactors')
    first.commit_transaction()
    eventually(lambda: consumer.committed(source) == 2)
    send(first, b'e')
    second = transactional('python')
    send(second, b'f')
    second.commit_transaction()
    try:
        first.commit_transaction()
        assert False, 'the first one is not fenced'
    except errors.KafkaError as error:
        assert isinstance(error, (errors.ProducerFencedError, errors.InvalidProducerEpochError)), error
    consumer.seek_to_beginning(source)
    assert [record.value for record in drain(consumer, 4)] == [b'a', b'b', b'd', b'f']
    consumer.close()
    second.close()
    first.close(0)


for function in [admin_topics, every_codec_with_keys_headers_and_tombstones, seeks_pauses_and_offsets,
                 group_of_three_with_one_joining_and_one_leaving, manual_and_automatic_commits, regex_subscription,
                 groups_are_described_and_deleted, nothing_is_lost_by_a_restart, walk_through_bankbranch,
                 walk_through_keys_msgpack_and_callbacks, idempotent_producer, transactions]:
    step(function)
