// Prints the splits that Hadoop makes of files of given sizes, in the order of their map tasks:
//   java -cp "$HADOOP/lib/*" Splits.java < sizes.txt > expected.txt
// A line of sizes.txt is a split size and the files' sizes. After it comes a line of FILE:START+LENGTH for each split.
import java.io.File;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Scanner;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapred.FileInputFormat;
import org.apache.hadoop.mapred.FileSplit;
import org.apache.hadoop.mapred.InputSplit;
import org.apache.hadoop.mapred.JobConf;
import org.apache.hadoop.mapred.TextInputFormat;

public class Splits {
    public static void main(String[] arguments) throws Exception {
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            String line = lines.nextLine();
            String[] numbers = line.split(" ");
            File directory = Files.createTempDirectory("splits").toFile();
            Path[] paths = new Path[numbers.length - 1];
            for (int i = 0; i < paths.length; i++) {
                File file = new File(directory, "" + i);
                paths[i] = new Path(file.toURI());
                try (RandomAccessFile content = new RandomAccessFile(file, "rw")) {
                    content.setLength(Long.parseLong(numbers[i + 1]));
                }
            }
            JobConf conf = new JobConf();
            conf.set("fs.defaultFS", "file:///");
            FileInputFormat.setInputPaths(conf, paths);
            conf.setLong("mapreduce.input.fileinputformat.split.minsize", Long.parseLong(numbers[0]));
            TextInputFormat format = new TextInputFormat();
            format.configure(conf);
            InputSplit[] splits = format.getSplits(conf, 1 << 20);
            Arrays.sort(splits, (a, b) -> { // as JobSubmitter.writeOldSplits
                try {
                    return Long.compare(b.getLength(), a.getLength());
                } catch (java.io.IOException e) {
                    throw new RuntimeException(e);
                }
            });
            System.out.println(line);
            StringBuilder found = new StringBuilder();
            for (InputSplit split : splits) {
                FileSplit part = (FileSplit) split;
                String name = part.getPath().getName();
                found.append(found.length() > 0 ? " " : "");
                found.append(Integer.parseInt(name)).append(':').append(part.getStart()).append('+').append(part.getLength());
            }
            System.out.println(found);
        }
    }
}
