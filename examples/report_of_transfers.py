"""
A report of one's own: for each region the bytes that it moves by memory, and the SRAM that it uses at the peak.

    python examples/report_of_transfers.py COMPILED.tflite ...
"""

import sys

import npuc


def main() -> None:
    for path in sys.argv[1:]:
        profile = npuc.profile(path)
        print(f"{path}: {profile.cycles} cycles, {profile.sram} bytes of SRAM")
        for name, timeline in profile.timelines.items():
            print(f"  {name}: {timeline.cycles} cycles, {timeline.high_water(profile.scarce)} bytes at the peak")
            for area, (read, written) in sorted(timeline.traffic().items()):
                print(f"    {area}: {read} bytes read, {written} written")


if __name__ == "__main__":
    main()
