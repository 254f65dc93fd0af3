import java.time.Duration;
import java.util.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

/**
 * What a user of a broker does before, between and after moves: each argument behind the bootstrap server is a step, and its lines begin with the step's name.
 *
 *   topics        a topic a codec, with configurations, and a compacted one
 *   users         SCRAM users, ACLs, quotas, dynamic configurations of brokers
 *   show-users    prints them
 *   write:ROUND   records with every codec, by idempotent producers; enough of them to roll segments
 *   commit:GROUP  a member of the group reads all there is and commits
 *   offsets:GROUP prints its committed offsets
 *   resume:GROUP  a member of the group prints where it goes on, and commits
 *   read          prints every record
 *   producers     prints every active producer id by partition
 *   keys:ROUND    writes 20 keys over and over into the compacted topic, over several segments
 *   compacted     waits until values that were written over are gone
 *   latest        prints the last value of every key of the compacted topic
 */
public class RoundTrip {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final TopicPartition COMPACTED = new TopicPartition("keyed", 0);
    static final long DEADLINE_NANOS = 150_000_000_000L;
    static String bootstrap;

    public static void main(String[] arguments) {
        try {
            run(arguments);
            System.exit(0);
        } catch (Throwable thrown) {
            thrown.printStackTrace();
            System.exit(1);
        }
    }

    static void run(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        for (String argument : Arrays.asList(arguments).subList(1, arguments.length)) {
            String[] words = argument.split(":");
            switch (words[0]) {
                case "topics" -> topics();
                case "users" -> users();
                case "show-users" -> showUsers();
                case "write" -> write(Integer.parseInt(words[1]));
                case "commit" -> commit(words[1]);
                case "offsets" -> offsets(words[1]);
                case "resume" -> resume(words[1]);
                case "read" -> read();
                case "producers" -> producers();
                case "keys" -> keys(Integer.parseInt(words[1]));
                case "compacted" -> compacted();
                case "latest" -> latest();
                default -> throw new IllegalArgumentException(argument);
            }
        }
    }

    static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    static void topics() throws Exception {
        try (Admin admin = admin()) {
            Map<String, String> configs = Map.of("segment.bytes", "1048576", "index.interval.bytes", "1024", "retention.ms", "-1");
            List<NewTopic> topics = new ArrayList<>(CODECS.stream().map(codec -> new NewTopic("moved-" + codec, 2, (short) 1).configs(configs)).toList());
            Map<String, String> compact = Map.of("segment.bytes", "1048576", "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.01");
            topics.add(new NewTopic(COMPACTED.topic(), 1, (short) 1).configs(compact));
            admin.createTopics(topics).all().get();
        }
    }

    static void users() throws Exception {
        try (Admin admin = admin()) {
            ScramCredentialInfo scram = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096);
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("alice", scram, "secret"))).all().get();
            AccessControlEntry mayRead = new AccessControlEntry("User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW);
            admin.createAcls(List.of(new AclBinding(new ResourcePattern(ResourceType.TOPIC, "moved-", PatternType.PREFIXED), mayRead))).all().get();
            ClientQuotaEntity alice = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, "alice"));
            ClientQuotaAlteration.Op rate = new ClientQuotaAlteration.Op("producer_byte_rate", 1e6);
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(alice, List.of(rate)))).all().get();
            AlterConfigOp retention = new AlterConfigOp(new ConfigEntry("log.retention.ms", "700000000"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.BROKER, ""), List.of(retention))).all().get();
        }
    }

    static void showUsers() throws Exception {
        try (Admin admin = admin()) {
            print("show-users", admin.describeUserScramCredentials().all().get().values());
            print("show-users", admin.describeAcls(AclBindingFilter.ANY).values().get());
            print("show-users", admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
        }
    }

    static void write(int round) throws Exception {
        Random random = new Random(round);
        for (String codec : CODECS) {
            Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "compression.type", codec, "linger.ms", "5", "batch.size", "20000");
            try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
                List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
                for (int index = 0; index < 300; index++) {
                    byte[] key = index % 7 == 0 ? null : ("key-" + index).getBytes();
                    byte[] value = index % 11 == 0 ? null : new byte[5000];
                    if (value != null) random.nextBytes(value);
                    ProducerRecord<byte[], byte[]> record = new ProducerRecord<>("moved-" + codec, index % 2, key, value);
                    record.headers().add(new RecordHeader("round", String.valueOf(round).getBytes())).add(new RecordHeader("null", null));
                    sent.add(producer.send(record));
                }
                for (var each : sent) each.get();
            }
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<TopicPartition> partitions() {
        return CODECS.stream().sorted().flatMap(codec -> Stream.of(0, 1).map(index -> new TopicPartition("moved-" + codec, index))).toList();
    }

    static void keys(int round) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "compression.type", CODECS.get(round), "batch.size", "20000");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
            Random random = new Random(round);
            for (int index = 0; index < 600; index++) {
                byte[] value = new byte[5000];
                random.nextBytes(value);
                sent.add(producer.send(new ProducerRecord<>(COMPACTED.topic(), ("key-" + index % 20).getBytes(), value)));
            }
            for (var each : sent) each.get();
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> keyed() {
        try (var consumer = consumer(Map.of())) {
            consumer.assign(List.of(COMPACTED));
            List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
            toTheEnd(consumer, List.of(COMPACTED), records::add);
            return records;
        }
    }

    static void compacted() throws Exception {
        long deadline = System.nanoTime() + DEADLINE_NANOS;
        // Of what lies in closed segments a value a key is left; the active one holds 200 at most.
        for (int count = keyed().size(); count > 300; count = keyed().size()) {
            if (System.nanoTime() > deadline) throw new AssertionError(count + " records are left");
            Thread.sleep(200);
        }
    }

    static void latest() {
        Map<String, String> values = new TreeMap<>();
        for (var record : keyed()) values.put(text(record.key()), record.offset() + " " + Arrays.hashCode(record.value()));
        values.forEach((key, value) -> print("latest", key + " " + value));
    }

    /** Polls until the position is the end of every partition; hands out what comes. */
    static void toTheEnd(
            KafkaConsumer<byte[], byte[]> consumer, List<TopicPartition> partitions, java.util.function.Consumer<ConsumerRecord<byte[], byte[]>> each) {
        long deadline = System.nanoTime() + DEADLINE_NANOS;
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        Map<TopicPartition, Long> at = new HashMap<>();
        while (true) {
            for (var record : consumer.poll(Duration.ofMillis(200))) each.accept(record);
            for (TopicPartition partition : consumer.assignment()) at.put(partition, consumer.position(partition, Duration.ofSeconds(10)));
            if (at.equals(ends)) return;
            if (System.nanoTime() > deadline) throw new AssertionError("it did not come to the end: " + at + " of " + ends);
        }
    }

    static void commit(String group) {
        try (var consumer = consumer(Map.of("group.id", group))) {
            consumer.subscribe(CODECS.stream().map(codec -> "moved-" + codec).toList());
            toTheEnd(consumer, partitions(), record -> {});
            consumer.commitSync();
        }
    }

    static void offsets(String group) throws Exception {
        try (Admin admin = admin()) {
            var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            for (TopicPartition partition : partitions()) print("offsets", partition + " " + offsets.get(partition).offset());
        }
    }

    static void resume(String group) {
        try (var consumer = consumer(Map.of("group.id", group))) {
            consumer.subscribe(CODECS.stream().map(codec -> "moved-" + codec).toList());
            Map<TopicPartition, Long> first = new TreeMap<>(Comparator.comparing(TopicPartition::toString));
            toTheEnd(consumer, partitions(), record -> first.putIfAbsent(new TopicPartition(record.topic(), record.partition()), record.offset()));
            consumer.commitSync();
            first.forEach((partition, offset) -> print("resume", partition + " " + offset));
        }
    }

    static void read() {
        try (var consumer = consumer(Map.of())) {
            consumer.assign(partitions());
            SortedSet<String> lines = new TreeSet<>();
            toTheEnd(consumer, partitions(), record -> {
                String headers = Stream.of(record.headers().toArray()).map(header -> header.key() + "=" + text(header.value())).collect(Collectors.joining(","));
                String place = String.format("%s %d %06d", record.topic(), record.partition(), record.offset());
                lines.add(place + " " + record.timestamp() + " " + text(record.key()) + " " + Arrays.hashCode(record.value()) + " " + headers);
            });
            for (String line : lines) print("read", line);
        }
    }

    static void producers() throws Exception {
        try (Admin admin = admin()) {
            var states = admin.describeProducers(partitions()).all().get();
            for (TopicPartition partition : partitions())
                for (ProducerState state : states.get(partition).activeProducers()) print("producers", partition + " " + state.producerId());
        }
    }

    static String text(byte[] bytes) {
        return bytes == null ? "null" : new String(bytes);
    }

    static void print(String step, Object what) {
        System.out.println(step + " " + what);
    }
}
