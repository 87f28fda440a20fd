// Package wheel reads wheels: their names, which platform can use them, whether their parts agree, and what they need besides.
//
// It is pure: bytes in, values out.
//
//   - wheel: a zip archive to be unpacked, named
//     <name>-<version>[-<build tag>]-<python>-<abi>-<platform>.whl (PEP 427).
//   - tag: what a wheel is for, such as cp311-cp311-manylinux_2_28_x86_64
//     (PEP 425); a file name with dots in a part stands for several.
//   - platform tags of Linux: manylinux_<glibc> (PEP 600, and the older names of
//     PEP 513, 571 and 599), musllinux_<musl> (PEP 656), linux_<machine>.
//   - METADATA, WHEEL, RECORD: the members of <name>-<version>.dist-info that say
//     what the wheel is, how it was made, and what else is in it.
//
// Failures are fault.Malformed (not a wheel, or not a wheel's name), fault.Hostile
// (a member that would leave the directory, or exhaust the machine) and
// fault.Unproved (parts that contradict each other, or what was asked for).
package wheel
