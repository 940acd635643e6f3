#include <iostream>
#include <map>
#include <string>

extern "C" int part(int x);

int main()
{
	std::map<int, std::string> m;
	for (int i = 0; i < 1000; i++)
		m[i] = std::to_string(part(i));
	std::cout << m.size() << " " << m[999] << "\n";
}
