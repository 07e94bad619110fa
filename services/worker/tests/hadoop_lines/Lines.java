// Reads texts with Hadoop's own LineRecordReader, cut in two at every place, and prints what each split gives:
//   java -cp "$HADOOP/lib/*" Lines.java < texts.txt > expected.txt
// A text is a line of a delimiter and bytes, both in hex (`-`: none). After it come the lines of each cut: the
// place, then OFFSET=HEX for each record, with `|` between the two splits.
import java.io.File;
import java.nio.file.Files;
import java.util.HexFormat;
import java.util.Scanner;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapred.FileSplit;
import org.apache.hadoop.mapred.LineRecordReader;

public class Lines {
    static final HexFormat HEX = HexFormat.of();

    static String read(File file, long start, long end, byte[] delimiter) throws Exception {
        FileSplit split = new FileSplit(new Path(file.toURI()), start, end - start, (String[]) null);
        LineRecordReader reader = new LineRecordReader(new Configuration(), split, delimiter);
        LongWritable offset = reader.createKey();
        Text line = reader.createValue();
        StringBuilder found = new StringBuilder();
        while (reader.next(offset, line)) {
            found.append(' ').append(offset.get()).append('=').append(HEX.formatHex(line.getBytes(), 0, line.getLength()));
        }
        reader.close();
        return found.toString();
    }

    public static void main(String[] arguments) throws Exception {
        File file = File.createTempFile("lines", ".txt");
        Scanner texts = new Scanner(System.in);
        while (texts.hasNext()) {
            String delimiterHex = texts.next(), textHex = texts.next();
            byte[] delimiter = delimiterHex.equals("-") ? null : HEX.parseHex(delimiterHex);
            byte[] text = HEX.parseHex(textHex);
            Files.write(file.toPath(), text);
            System.out.println(delimiterHex + " " + textHex);
            System.out.println("0 |" + read(file, 0, text.length, delimiter));
            for (int cut = 1; cut < text.length; cut++) {
                System.out.println(
                    cut + read(file, 0, cut, delimiter) + " |" + read(file, cut, text.length, delimiter));
            }
        }
        file.delete();
    }
}
