import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.*;
import org.apache.kafka.common.*;

/**
 * Kafka's own assignors on inputs from standard input. An input is lines of blank-separated words, ended by an empty line:
 *
 *   assignor NAME
 *   topic NAME RACK,RACK RACK …                          the racks of each partition's replicas, - for none
 *   member ID INSTANCE RACK GENERATION USERDATA TOPIC,…  PARTITION…    - for what is not there, user data in base64, partitions as topic:1
 *
 * The answer is one line: members in order, each as ID=topic:0,topic:1, or "threw" and what. "endless": Kafka's sticky assignors go round in
 * circles on some inputs.
 */
public class Assign {
    public static void main(String[] arguments) throws Exception {
        Scanner in = new Scanner(System.in, StandardCharsets.UTF_8);
        List<String[]> lines = new ArrayList<>();
        ExecutorService threads = Executors.newCachedThreadPool();
        while (in.hasNextLine()) {
            String line = in.nextLine();
            if (!line.isEmpty()) lines.add(line.split(" "));
            else {
                List<String[]> input = List.copyOf(lines);
                Future<String> answer = threads.submit(() -> answer(input));
                try {
                    System.out.println(answer.get(3, TimeUnit.SECONDS));
                } catch (TimeoutException e) {
                    System.out.println("endless");
                }
                System.out.flush();
                lines.clear();
            }
        }
        Runtime.getRuntime().halt(0);
    }

    static String answer(List<String[]> lines) {
        ConsumerPartitionAssignor assignor = null;
        List<PartitionInfo> partitions = new ArrayList<>();
        Map<String, Node> nodes = new HashMap<>();
        Map<String, Subscription> subscriptions = new HashMap<>();
        for (String[] words : lines) {
            switch (words[0]) {
                case "assignor" -> assignor = switch (words[1]) {
                    case "range" -> new RangeAssignor();
                    case "roundrobin" -> new RoundRobinAssignor();
                    case "sticky" -> new StickyAssignor();
                    default -> new CooperativeStickyAssignor();
                };
                case "topic" -> {
                    for (int i = 2; i < words.length; i++) {
                        Node[] replicas = words[i].equals("-") ? new Node[0] : Arrays.stream(words[i].split(","))
                            .map(rack -> nodes.computeIfAbsent(rack, name -> new Node(nodes.size(), "host", 9092, name))).toArray(Node[]::new);
                        partitions.add(new PartitionInfo(words[1], i - 2, null, replicas, replicas));
                    }
                }
                case "member" -> {
                    List<TopicPartition> owned = new ArrayList<>();
                    for (int i = 7; i < words.length; i++) {
                        int colon = words[i].lastIndexOf(':');
                        owned.add(new TopicPartition(words[i].substring(0, colon), Integer.parseInt(words[i].substring(colon + 1))));
                    }
                    ByteBuffer userData = words[5].equals("-") ? null : ByteBuffer.wrap(Base64.getDecoder().decode(words[5]));
                    List<String> topics = words[6].equals("-") ? List.of() : List.of(words[6].split(","));
                    Subscription subscription = new Subscription(topics, userData, owned, Integer.parseInt(words[4]),
                        words[3].equals("-") ? Optional.empty() : Optional.of(words[3]));
                    if (!words[2].equals("-")) subscription.setGroupInstanceId(Optional.of(words[2]));
                    subscriptions.put(words[1], subscription);
                }
                default -> throw new IllegalArgumentException(words[0]);
            }
        }
        try {
            Cluster cluster = new Cluster("id", nodes.values(), partitions, Set.of(), Set.of());
            Map<String, Assignment> assignments = assignor.assign(cluster, new GroupSubscription(subscriptions)).groupAssignment();
            StringJoiner text = new StringJoiner(" ");
            for (Map.Entry<String, Assignment> entry : new TreeMap<>(assignments).entrySet()) {
                List<String> names = entry.getValue().partitions().stream().map(p -> p.topic() + ":" + p.partition()).sorted().toList();
                text.add(entry.getKey() + "=" + String.join(",", names));
            }
            return text.toString();
        } catch (RuntimeException e) {
            return "threw " + e;
        }
    }
}
