"""A large source file, for a compiler: big_source.py c|c++ FUNCTIONS"""
import sys

language, count = sys.argv[1], int(sys.argv[2])
C = """
int table_{n}[64];
static int helper_{n}(int x, int y)
{{
	int s = {n};
	for (int i = 0; i < x; i++) {{
		switch ((i + y) % 5) {{
		case 0: s += table_{n}[i & 63]; break;
		case 1: s ^= y * {n}; break;
		case 2: s -= table_{n}[(i * y) & 63] << 2; break;
		default: s = s * 31 + i;
		}}
	}}
	return s;
}}
int function_{n}(int a, int b, double d)
{{
	double e = d * {n};
	int r = helper_{n}(a, b) + helper_{n}(b, a);
	while (e > 1.0) {{ e /= 1.5; r += (int)e; }}
	return r > 0 ? helper_{n}(r & 15, a) : r;
}}
"""
CXX = """
struct type_{n} {{ int v; bool operator<(const type_{n} &o) const {{ return v < o.v; }} }};
int function_{n}(int a)
{{
	std::map<type_{n}, std::vector<std::string>> m;
	for (int i = 0; i < a; i++)
		m[type_{n}{{i % {n}}}].push_back(std::to_string(i));
	std::vector<type_{n}> k;
	for (auto &p : m) k.push_back(p.first);
	std::sort(k.begin(), k.end());
	return (int)k.size();
}}
"""
if language == "c++":
    print("#include <algorithm>\n#include <map>\n#include <string>\n#include <vector>")
for n in range(1, count + 1):
    print((C if language == "c" else CXX).format(n=n))
