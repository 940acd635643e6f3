import java.util.*;

public class Data {
	static long work(int seed) {
		Map<Integer, String> m = new HashMap<>();
		for (int i = 0; i < 150000; i++)
			m.put((i * 7919 + seed) % 200003, "value " + i);
		List<String> all = new ArrayList<>(m.values());
		Collections.sort(all);
		long sum = 0;
		for (int i = 0; i < all.size(); i++)
			sum = sum * 31 + all.get(i).hashCode();
		return sum;
	}

	public static void main(String[] args) throws Exception {
		long[] sums = new long[2];
		Thread[] threads = new Thread[2];
		for (int t = 0; t < 2; t++) {
			final int n = t;
			threads[t] = new Thread(() -> sums[n] = work(n));
			threads[t].start();
		}
		for (Thread t : threads)
			t.join();
		int[][] blocks = new int[64][];
		for (int i = 0; i < 320; i++) {
			blocks[i % 64] = new int[250000];
			Arrays.fill(blocks[i % 64], i);
		}
		long total = 0;
		for (int[] b : blocks)
			for (int v : b)
				total += v;
		System.out.println(sums[0] + " " + sums[1] + " " + total);
	}
}
