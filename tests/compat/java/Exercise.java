import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import java.util.regex.Pattern;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

/** What the Java clients can do with a broker that has no transactions yet. Prints "ok NAME" a step; asks for a restart with "RESTART". */
public class Exercise {
    static String bootstrap;

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        step("admin", Exercise::admin);
        step("codecs", Exercise::codecs);
        step("seeks", Exercise::seeks);
        step("groups", Exercise::groups);
        step("commits", Exercise::commits);
        step("pattern", Exercise::pattern);
        step("groupAdmin", Exercise::groupAdmin);
        step("restart", Exercise::restart);
        System.exit(0);
    }

    interface Step { void run() throws Exception; }

    static void step(String name, Step step) throws Exception {
        step.run();
        System.out.println("ok " + name);
        System.out.flush();
    }

    static void check(boolean holds, Object what) {
        if (!holds) throw new AssertionError(what);
    }

    static void eventually(Callable<Boolean> holds) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!holds.call()) {
            check(System.nanoTime() < end, "it did not come true in time");
            Thread.sleep(50);
        }
    }

    static Admin client() {
        return Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    static KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", "5"));
        settings.putAll(more);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String group, Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        if (group != null) settings.put("group.id", group);
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static List<ConsumerRecord<String, String>> drain(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (records.size() < count && System.nanoTime() < end) consumer.poll(Duration.ofMillis(300)).forEach(records::add);
        check(records.size() >= count, records.size() + " of " + count + " records");
        return records;
    }

    static void admin() throws Exception {
        try (Admin admin = client()) {
            admin.createTopics(List.of(new NewTopic("made", 3, (short) 1).configs(Map.of("retention.ms", "600000")))).all().get();
            check(admin.describeTopics(List.of("made")).allTopicNames().get().get("made").partitions().size() == 3, "partitions");
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, "made");
            check(admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value().equals("600000"), "config");
            admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("max.message.bytes", "2000000"), AlterConfigOp.OpType.SET)))).all().get();
            eventually(() -> admin.describeConfigs(List.of(resource)).all().get().get(resource).get("max.message.bytes").value().equals("2000000"));
            admin.createPartitions(Map.of("made", NewPartitions.increaseTo(5))).all().get();
            eventually(() -> admin.describeTopics(List.of("made")).allTopicNames().get().get("made").partitions().size() == 5);
            check(admin.describeCluster().nodes().get().size() == 1, "nodes");
            TopicPartitionReplica replica = new TopicPartitionReplica("made", 0, 1);
            String current = admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica).getCurrentReplicaLogDir();
            Set<String> dirs = admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).keySet();
            String other = dirs.stream().filter(dir -> !dir.equals(current)).findFirst().get();
            admin.alterReplicaLogDirs(Map.of(replica, other)).all().get();
            eventually(() -> {
                DescribeReplicaLogDirsResult.ReplicaLogDirInfo info = admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica);
                return other.equals(info.getCurrentReplicaLogDir()) && info.getFutureReplicaLogDir() == null;
            });
            admin.deleteTopics(List.of("made")).all().get();
            eventually(() -> !admin.listTopics().names().get().contains("made"));
        }
    }

    static void codecs() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = "java-codec-" + codec;
            try (KafkaProducer<String, String> producer = producer(Map.of("compression.type", codec))) {
                for (int i = 0; i < 300; i++) {
                    ProducerRecord<String, String> record = new ProducerRecord<>(topic, 0, i % 7 == 0 ? null : "key-" + i % 11, i % 13 == 0 ? null : "value-" + i + "x".repeat(i % 50));
                    record.headers().add("h", new byte[] {1}).add("h", new byte[] {2}).add("null", null);
                    producer.send(record);
                }
            }
            try (KafkaConsumer<String, String> consumer = consumer(null, Map.of())) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                int i = 0;
                for (ConsumerRecord<String, String> record : drain(consumer, 300)) {
                    check(record.offset() == i, record);
                    check(Objects.equals(record.key(), i % 7 == 0 ? null : "key-" + i % 11), record);
                    check(Objects.equals(record.value(), i % 13 == 0 ? null : "value-" + i + "x".repeat(i % 50)), record);
                    check(Arrays.equals(record.headers().toArray(), new Object[] {new RecordHeader("h", new byte[] {1}), new RecordHeader("h", new byte[] {2}), new RecordHeader("null", null)}), record);
                    i++;
                }
            }
        }
    }

    static void seeks() throws Exception {
        TopicPartition partition = new TopicPartition("seeks", 0);
        long start = System.currentTimeMillis() - 100_000;
        try (KafkaProducer<String, String> producer = producer(Map.of()); KafkaConsumer<String, String> consumer = consumer(null, Map.of()); Admin admin = client()) {
            for (int i = 0; i < 100; i++) producer.send(new ProducerRecord<>("seeks", 0, start + i * 10, null, "" + i));
            producer.flush();
            consumer.assign(List.of(partition));
            check(consumer.beginningOffsets(List.of(partition)).get(partition) == 0, "beginning");
            check(consumer.endOffsets(List.of(partition)).get(partition) == 100, "end");
            check(consumer.offsetsForTimes(Map.of(partition, start + 505)).get(partition).offset() == 51, "by time");
            check(consumer.offsetsForTimes(Map.of(partition, start + 1_000_000)).get(partition) == null, "by a later time");
            consumer.seek(partition, 90);
            check(drain(consumer, 10).get(0).offset() == 90, "seek");
            consumer.seekToBeginning(List.of(partition));
            check(drain(consumer, 1).get(0).offset() == 0, "to the beginning");
            consumer.seekToEnd(List.of(partition));
            check(consumer.position(partition) == 100, "to the end");
            consumer.pause(List.of(partition));
            producer.send(new ProducerRecord<>("seeks", 0, null, "later")).get();
            check(consumer.poll(Duration.ofMillis(500)).isEmpty(), "paused");
            consumer.resume(List.of(partition));
            check(drain(consumer, 1).get(0).value().equals("later"), "resumed");
            check(admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).all().get().get(partition).offset() == 100, "max timestamp");
            check(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(40))).all().get() == null, "delete records");
            check(consumer.beginningOffsets(List.of(partition)).get(partition) == 40, "log start offset");
            check(!admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers().isEmpty(), "producers");
        }
    }

    static void groups() throws Exception {
        for (Class<?> assignor : List.of(RangeAssignor.class, CooperativeStickyAssignor.class)) {
            String topic = "grouped-" + assignor.getSimpleName();
            try (Admin admin = client()) {
                admin.createTopics(List.of(new NewTopic(topic, 6, (short) 1))).all().get();
            }
            Set<String> seen = ConcurrentHashMap.newKeySet();
            Map<String, AtomicBoolean> stops = new HashMap<>();
            List<Thread> threads = new ArrayList<>();
            java.util.function.Consumer<String> start = name -> {
                AtomicBoolean stop = new AtomicBoolean();
                stops.put(name, stop);
                Thread thread = new Thread(() -> {
                    try (KafkaConsumer<String, String> consumer = consumer("java-" + topic, Map.of("partition.assignment.strategy", assignor.getName(), "max.poll.records", "50"))) {
                        consumer.subscribe(List.of(topic));
                        while (!stop.get()) {
                            consumer.poll(Duration.ofMillis(100)).forEach(record -> seen.add(record.value()));
                            try {
                                consumer.commitSync();
                            } catch (CommitFailedException | org.apache.kafka.common.errors.RebalanceInProgressException e) {
                                // the partitions' next owner reads those records again
                            }
                        }
                    }
                });
                thread.start();
                threads.add(thread);
            };
            start.accept("a");
            start.accept("b");
            try (KafkaProducer<String, String> producer = producer(Map.of())) {
                for (int i = 0; i < 1500; i++) {
                    producer.send(new ProducerRecord<>(topic, "k" + i, "r" + i));
                    if (i == 500) start.accept("c");
                    if (i == 1000) {
                        producer.flush();
                        stops.get("a").set(true);
                    }
                    if (i % 20 == 0) Thread.sleep(20);
                }
            }
            eventually(() -> seen.size() == 1500);
            stops.values().forEach(stop -> stop.set(true));
            for (Thread thread : threads) thread.join(20_000);
        }
    }

    static void commits() throws Exception {
        TopicPartition partition = new TopicPartition("commits", 0);
        try (KafkaProducer<String, String> producer = producer(Map.of())) {
            for (int i = 0; i < 50; i++) producer.send(new ProducerRecord<>("commits", 0, null, "" + i));
        }
        try (KafkaConsumer<String, String> consumer = consumer("manual", Map.of("group.instance.id", "instance"))) {
            consumer.subscribe(List.of("commits"));
            drain(consumer, 50);
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(20, Optional.of(0), "note")));
            OffsetAndMetadata committed = consumer.committed(Set.of(partition)).get(partition);
            check(committed.offset() == 20 && committed.metadata().equals("note"), committed);
        }
        try (KafkaConsumer<String, String> consumer = consumer("manual", Map.of("group.instance.id", "instance"))) {
            consumer.subscribe(List.of("commits"));
            check(drain(consumer, 30).get(0).offset() == 20, "from the committed offset");
        }
        try (KafkaConsumer<String, String> consumer = consumer("automatic", Map.of("enable.auto.commit", "true", "auto.commit.interval.ms", "100"))) {
            consumer.subscribe(List.of("commits"));
            drain(consumer, 50);
            eventually(() -> {
                consumer.poll(Duration.ofMillis(100));
                OffsetAndMetadata committed = consumer.committed(Set.of(partition)).get(partition);
                return committed != null && committed.offset() == 50;
            });
        }
    }

    static void pattern() throws Exception {
        try (KafkaProducer<String, String> producer = producer(Map.of()); KafkaConsumer<String, String> consumer = consumer("pattern", Map.of("metadata.max.age.ms", "500"))) {
            for (String topic : List.of("logs-a", "logs-b", "other-c")) producer.send(new ProducerRecord<>(topic, topic));
            producer.flush();
            consumer.subscribe(Pattern.compile("logs-.*"));
            check(drain(consumer, 2).stream().map(ConsumerRecord::topic).collect(Collectors.toSet()).equals(Set.of("logs-a", "logs-b")), "by pattern");
            consumer.commitSync();
            producer.send(new ProducerRecord<>("logs-late", "late"));
            producer.flush();
            check(drain(consumer, 1).get(0).topic().equals("logs-late"), "a new topic");
        }
    }

    static void groupAdmin() throws Exception {
        TopicPartition partition = new TopicPartition("commits", 0);
        try (Admin admin = client(); KafkaConsumer<String, String> consumer = consumer("static", Map.of("group.instance.id", "one"))) {
            consumer.subscribe(List.of("commits"));
            drain(consumer, 50);
            check(admin.describeConsumerGroups(List.of("static")).all().get().get("static").members().iterator().next().groupInstanceId().equals(Optional.of("one")), "members");
            admin.removeMembersFromConsumerGroup("static", new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")))).all().get();
            check(admin.describeConsumerGroups(List.of("static")).all().get().get("static").members().isEmpty(), "removed");
            // A static member does not leave when it closes: it is taken out here.
            admin.removeMembersFromConsumerGroup("manual", new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("instance")))).all().get();
            admin.alterConsumerGroupOffsets("manual", Map.of(partition, new OffsetAndMetadata(7))).all().get();
            check(admin.listConsumerGroupOffsets("manual").partitionsToOffsetAndMetadata().get().get(partition).offset() == 7, "altered");
            admin.deleteConsumerGroupOffsets("manual", Set.of(partition)).all().get();
            admin.deleteConsumerGroups(List.of("automatic")).all().get();
            check(admin.listConsumerGroups().all().get().stream().noneMatch(group -> group.groupId().equals("automatic")), "deleted");
        }
    }

    static void restart() throws Exception {
        TopicPartition partition = new TopicPartition("restarted", 0);
        try (KafkaProducer<String, String> producer = producer(Map.of())) {
            for (int i = 0; i < 200; i++) producer.send(new ProducerRecord<>("restarted", 0, null, "" + i));
            producer.flush();
            try (KafkaConsumer<String, String> consumer = consumer("restarted", Map.of())) {
                consumer.subscribe(List.of("restarted"));
                drain(consumer, 200);
                consumer.commitSync(Map.of(partition, new OffsetAndMetadata(150)));
                System.out.println("RESTART");
                System.out.flush();
                check(new Scanner(System.in).nextLine().equals("DONE"), "restart");
                for (int i = 200; i < 300; i++) producer.send(new ProducerRecord<>("restarted", 0, null, "" + i)).get();
                check(drain(consumer, 100).get(0).value().equals("200"), "the consumer goes on");
            }
        }
        try (KafkaConsumer<String, String> consumer = consumer("restarted", Map.of())) {
            consumer.subscribe(List.of("restarted"));
            List<String> values = drain(consumer, 150).stream().map(ConsumerRecord::value).toList();
            check(values.equals(IntStream.range(150, 300).mapToObj(Integer::toString).toList()), values);
        }
    }
}
