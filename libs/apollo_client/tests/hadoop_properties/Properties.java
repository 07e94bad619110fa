// Prints the properties that Hadoop has renamed, and those of a job that it has a default for:
//   java -cp "$HADOOP/lib/*" Properties.java > expected.txt
// A line is `renamed OLD NEW` or `default NAME`.
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.mapred.JobConf;

public class Properties {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        ByteArrayOutputStream table = new ByteArrayOutputStream();
        System.setOut(new PrintStream(table));
        JobConf conf = new JobConf();
        Configuration.dumpDeprecatedKeys();
        System.out.flush();
        List<String> lines = new ArrayList<>();
        for (String line : table.toString().split("\n"))
            lines.add("renamed " + String.join(" ", line.trim().split("\t")));
        for (Map.Entry<String, String> entry : conf)
            lines.add("default " + entry.getKey());
        lines.removeIf(line -> !line.matches("(default|.*) (mapreduce|mapred|stream)\\..*"));
        Collections.sort(lines);
        lines.forEach(out::println);
        out.flush();
    }
}
