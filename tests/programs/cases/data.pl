use strict;
use warnings;
my (%h, $sum);
$h{"key $_"} = [$_, "v" x ($_ % 50)] for 1 .. 20000;
delete $h{"key $_"} for map { $_ * 3 } 1 .. 6000;
for my $key (sort keys %h) {
	$sum = ($sum // 0) * 31 % 1000000007 + $h{$key}[0] + length $h{$key}[1];
}
my $text = join ",", map { $_ * $_ } 1 .. 50000;
my $count = () = $text =~ /99/g;
print scalar(keys %h), " $sum $count ", length($text), "\n";
print `echo from a child`;
my $pid = fork;
if (!$pid) { print scalar(keys %h), "\n"; exit 3; }
waitpid $pid, 0;
print $? >> 8, "\n";
