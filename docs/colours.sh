#!/bin/sh
# How near the frames that a model sees of HDR and wide-gamut clips come to those of their SDR twins: PSNR in dB, the mean
# of six clips. Makes the clips of SDR ones, where white is 203 cd/m² then; needs ffmpeg with zscale and libx265.
#
#     docs/colours.sh UCF14 [PROGRAM]     UCF14: a folder of clips a class; PROGRAM: classify, unless it's another one
set -eu
clips=$(cd "$1" && pwd)
program=${2:-classify}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

sdr=setparams=range=tv:colorspace=smpte170m:color_primaries=bt709:color_trc=bt709
light="zscale=t=linear:npl=203,format=gbrpf32le"
# The upper half of the light is spread up to 1000 cd/m².
spread='65535*pow(0.203*(pow(val/65535,2.4)+3.926*pow(max(pow(val/65535,2.4)-0.5,0)/0.5,2)),1/2.4)'
spread="format=gbrp16le,lutrgb=r='$spread':g='$spread':b='$spread',zscale=t=linear:npl=1000,format=gbrpf32le"
bt2020=m=bt2020nc:r=tv:p=bt2020

# make NAME KIND FILTER TAGS
make() {
    ffmpeg -v error -nostdin -i "$1" -t 3 -vf "$sdr,${3}format=yuv420p10le" -c:v libx265 -preset veryfast -crf 16 \
        -x265-params "log-level=none$4" "$2.mp4"
    "$program" frames "$2.mp4" -q -o "$2.png"
}

for class in BodyWeightSquats JumpRope Lunges UnevenBars WallPushups CuttingInKitchen; do
    clip=$(ls "$clips/$class"/*.mp4 | sed -n 3p)
    pq=:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc
    make "$clip" sdr "" ""
    make "$clip" PQ "$light,zscale=t=smpte2084:npl=203:$bt2020," $pq
    make "$clip" HLG "$light,zscale=t=arib-std-b67:npl=203:$bt2020," ${pq%:t*}:transfer=arib-std-b67:colormatrix=bt2020nc
    make "$clip" highlights "zscale=m=gbr:t=bt709:r=pc,$spread,zscale=t=smpte2084:npl=1000:$bt2020," $pq
    make "$clip" BT.2020 "zscale=t=2020_10:$bt2020," ${pq%:t*}:transfer=bt2020-10:colormatrix=bt2020nc
    make "$clip" P3 "zscale=p=smpte432:t=bt709:m=bt709:r=tv," :colorprim=smpte432:transfer=bt709:colormatrix=bt709
    for kind in PQ HLG highlights BT.2020 P3; do
        found=$(ffmpeg -v info -nostdin -i sdr.png -i $kind.png -lavfi psnr -f null - 2>&1 | grep -o 'average:[0-9.]*')
        echo "$kind ${found#average:}" >> found
    done
    rm ./*.mp4 ./*.png
done
awk '{ sum[$1] += $2; n[$1]++ } END { for (kind in sum) printf "%s %.1f dB\n", kind, sum[kind] / n[kind] }' found
