import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main classes of Kafka's tools, one after the other, in one JVM: starting it takes longer than most of them take. A line of standard input is a
 * class and its arguments, a line of output the exit code, standard output and standard error, each in Base64 and apart by tabs.
 */
public class Tools {
    /** A tool that catches this, and wants to exit once more, has made up its mind before. */
    static class Exited extends Error {}

    static Integer exitCode;

    public static void main(String[] none) throws Exception {
        PrintStream answers = System.out;
        Exit.Procedure exit = (code, message) -> {
            if (exitCode == null) exitCode = code;
            throw new Exited();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = Arrays.stream(line.split("\t")).map(Tools::decoded).toArray(String[]::new);
            ByteArrayOutputStream out = new ByteArrayOutputStream(), errors = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true));
            System.setErr(new PrintStream(errors, true));
            int code = call(words[0], Arrays.copyOfRange(words, 1, words.length));
            answers.println(code + "\t" + encoded(out) + "\t" + encoded(errors));
            answers.flush();
        }
        System.exit(0);
    }

    /** --bootstrap-server SERVERS TOPIC PARTITIONS COUNT: numbers from 0 on, to one partition after the other. */
    public static class Produce {
        public static void main(String[] arguments) {
            int partitions = Integer.parseInt(arguments[3]), count = Integer.parseInt(arguments[4]);
            List<Exception> failures = Collections.synchronizedList(new ArrayList<>());
            try (KafkaProducer<String, String> producer = new KafkaProducer<>(Map.of("bootstrap.servers", arguments[1]), new StringSerializer(), new StringSerializer())) {
                for (int i = 0; i < count; i++) {
                    producer.send(new ProducerRecord<>(arguments[2], i % partitions, null, "" + i), (metadata, failure) -> {
                        if (failure != null) failures.add(failure);
                    });
                }
            }
            if (!failures.isEmpty()) throw new AssertionError(failures.size() + " failed", failures.get(0));
        }
    }

    /** --bootstrap-server SERVERS TOPIC TRANSACTIONAL-ID GROUP: begins a transaction with a record and an offset, and goes. */
    public static class LeaveOpen {
        public static void main(String[] arguments) throws Exception {
            Map<String, Object> settings = Map.of("bootstrap.servers", arguments[1], "transactional.id", arguments[3], "transaction.timeout.ms", 600_000);
            KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(arguments[2], 0, null, "open")).get();
            producer.sendOffsetsToTransaction(Map.of(new TopicPartition(arguments[2], 0), new OffsetAndMetadata(1)), new ConsumerGroupMetadata(arguments[4]));
            producer.close(java.time.Duration.ZERO);
        }
    }

    /** --bootstrap-server SERVERS TOPIC KEY…: sends a record for each further argument, a key in Base64, and prints the partitions in that order. */
    public static class SendKeys {
        public static void main(String[] arguments) throws Exception {
            try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(Map.of("bootstrap.servers", arguments[1]), new ByteArraySerializer(), new ByteArraySerializer())) {
                List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
                for (int i = 3; i < arguments.length; i++) sent.add(producer.send(new ProducerRecord<>(arguments[2], Base64.getDecoder().decode(arguments[i]), new byte[0])));
                for (java.util.concurrent.Future<RecordMetadata> one : sent) System.out.println(one.get().partition());
            }
        }
    }

    static int call(String mainClass, String[] args) throws Exception {
        exitCode = null;
        try {
            Class.forName(mainClass).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (java.lang.reflect.InvocationTargetException thrown) {
            if (exitCode == null) {
                thrown.getCause().printStackTrace();
                return 1;
            }
        }
        return exitCode == null ? 0 : exitCode;
    }

    static String decoded(String word) {
        return new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8);
    }

    static String encoded(ByteArrayOutputStream bytes) {
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }
}
