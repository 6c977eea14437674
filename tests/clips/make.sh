#!/bin/sh
# Makes the test clips of this folder anew. They were made with FFmpeg 5.1; another version may
# encode them differently, the tests allow for that.
set -eu
cd "$(dirname "$0")"
run() { ffmpeg -v error -y "$@"; }
x264="-c:v libx264 -preset veryslow -pix_fmt yuv420p -movflags +faststart -bitexact"

# Picture n (from 0) is grey of brightness 20 + 8n: 25 pictures at 25 a second, groups of ten with B pictures.
counter="color=gray:s=64x48:r=25:d=1,geq=lum='20+8*N':cb=128:cr=128"
run -f lavfi -i "$counter" $x264 -g 10 -bf 3 -qp 4 counter.mp4
run -i counter.mp4 -c copy -bitexact counter.h264
# The same in open groups: pictures that are shown before a keyframe follow it, and one of them is needed by others.
run -f lavfi -i "$counter" $x264 -g 8 -bf 3 -qp 4 -x264-params open-gop=1:b-adapt=0:b-pyramid=normal:scenecut=0 open_groups.mp4
run -i counter.mp4 -c copy -bitexact -output_ts_offset 100 -muxdelay 0 start100.ts
run -i counter.mp4 -c copy -bitexact counter.mkv
# With some noise, so that cutting the file off cuts off pictures.
run -f lavfi -i "$counter,noise=alls=6:allf=t" $x264 -g 10 -bf 3 -crf 20 noisy.mp4
head -c $(($(wc -c < noisy.mp4) * 7 / 10)) noisy.mp4 > truncated.mp4
run -i noisy.mp4 -c copy -bitexact index_last.mp4
head -c $(($(wc -c < index_last.mp4) * 5 / 10)) index_last.mp4 > no_index.mp4
head -c $(($(wc -c < index_last.mp4) - 100)) index_last.mp4 > half_index.mp4
rm noisy.mp4 index_last.mp4
run -f lavfi -i "$counter" -frames:v 1 $x264 one.mp4
run -f lavfi -i "$counter" -vf "fps=10" -frames:v 5 -bitexact counter.gif
run -f lavfi -i "$counter" -frames:v 25 -c:v mpeg4 -bf 2 -qscale 1 -bitexact counter.avi
# Pictures 0 to 4 at 0, 0.1, 0.2, 1 and 2 s.
run -f lavfi -i "$counter" -vf "setpts='(if(lt(N,3),N*0.1,N-2))/TB'" -vsync passthrough -frames:v 5 $x264 -bf 0 vfr.mkv

# Quarters: red, green / blue, white; as phones store them.
quarters="color=red:s=64x64:d=0.2:r=5[a];color=lime:s=64x64:d=0.2:r=5[b];color=blue:s=64x64:d=0.2:r=5[c];color=white:s=64x64:d=0.2:r=5[d];[a][b]hstack[t];[c][d]hstack[u];[t][u]vstack"
run -f lavfi -i "$quarters" $x264 -qp 4 quarters.mp4
for turn in 90 180 270; do
    run -i quarters.mp4 -c copy -metadata:s:v:0 rotate=$turn -bitexact turned$turn.mp4
done
# The same squeezed to half its width, with pixels twice as wide as high.
run -i quarters.mp4 -vf scale=64:128,setsar=2 $x264 -qp 4 wide_pixels.mp4
run -i quarters.mp4 -vf scale=67:65:flags=neighbor,format=yuv444p -c:v libx264 -qp 4 -bitexact odd_size.mp4
run -i quarters.mp4 -vf scale=67:65:flags=neighbor -c:v libvpx-vp9 -crf 10 -b:v 0 -pix_fmt yuv420p -bitexact odd_size.webm
run -i quarters.mp4 -c:v libx264 -pix_fmt yuv420p10le -qp 4 -bitexact ten_bits.mp4
# Half a second of black, then the quarters with black bars on all sides; and where the bars are gone in the end.
barred() {
    run -f lavfi -i "color=black:s=256x160:r=10:d=0.5" -stream_loop 4 -i quarters.mp4 \
        -f lavfi -i "color=white:s=256x160:r=10:d=0.5" \
        -filter_complex "[1]setpts=N/10/TB,fps=10,pad=256:160:64:16,setsar=1[q];$1" $x264 -pix_fmt $3 -qp 4 "$2"
}
barred "[0][q]concat" bars.mp4 yuv420p
barred "[0][q]concat" bars_ten_bits.mp4 yuv420p10le
barred "[0][q][2]concat=3" bars_open.mp4 yuv420p
# A change of size in mid-stream: five pictures of 128×128, then five of 64×64.
run -loop 1 -i quarters.mp4 -frames:v 5 $x264 -qp 4 a.h264 2>/dev/null || run -stream_loop 4 -i quarters.mp4 -frames:v 5 $x264 -qp 4 a.h264
run -stream_loop 4 -i quarters.mp4 -frames:v 5 -vf scale=64:64 $x264 -qp 4 b.h264
cat a.h264 b.h264 > size_change.h264; rm a.h264 b.h264

# One colour, RGB 200 100 50, in each coding.
colour="color=c=0xC86432:s=64x64:r=5:d=0.2,format=rgb24"
for coding in bt601:tv:smpte170m bt709:tv:bt709 bt709:pc:bt709 bt2020nc:tv:bt2020nc; do
    matrix=${coding%%:*}; rest=${coding#*:}; range=${rest%%:*}; name=${rest#*:}
    case $matrix in bt2020nc) filter=bt2020 ;; *) filter=$matrix ;; esac
    run -f lavfi -i "$colour" -vf "scale=out_color_matrix=$filter:out_range=$range,format=yuv420p" \
        $x264 -qp 1 -colorspace $name -color_range $range colour_${matrix}_$range.mp4
done
# Fields of two moments: a bright bar that moves by 4 pixels a field.
run -f lavfi -i "color=black:s=96x64:r=50:d=0.4,geq=lum='if(between(X,10+4*N,25+4*N),220,30)':cb=128:cr=128" \
    -vf tinterlace=interleave_top,setfield=tff $x264 -qp 4 -flags +ildct+ilme -x264-params tff=1 interlaced.mp4
# The same in colour: chroma lines belong to fields, too, and the last line may lack its partner.
bar="between(X/SW,10+8*N+4*mod(Y,2),25+8*N+4*mod(Y,2))"
for kind in 420p:65 420p:62 422p:63; do
    format=${kind%:*}; lines=${kind#*:}
    run -f lavfi -i "color=black:s=96x$lines:r=25:d=0.4,format=rgb24,format=yuv$format,geq=lum='if($bar,150,30)':cb='if($bar,90,128)':cr='if($bar,220,128)',setfield=tff" \
        -c:v mpeg2video -qscale 1 -flags +ildct+ilme -bitexact interlaced_${format}_$lines.mkv
done
# Sound with a cover picture, and without.
run -f lavfi -i "sine=d=0.1" -i quarters.mp4 -map 0 -map 1 -c:a aac -c:v mjpeg -frames:v 1 -disposition:v attached_pic -bitexact cover.m4a
run -f lavfi -i "sine=d=0.05:r=8000" -bitexact sound.wav
# A chart of six colours: orange, green, blue / grey, white, black; in SDR's BT.709, in wider gamuts, and in HDR whose
# white is 203 cd/m²: as is usual, of full range without a word on primaries, of eight bits; and at last HDR, then SDR.
patch() { printf 'color=%s:s=32x32:r=5:d=0.4,format=gbrp[%s];' "$1" "$2"; }
# six COLOUR1 … COLOUR6 PRIMARIES TRANSFER
six() {
    printf '%s' "$(patch $1 a)$(patch $2 b)$(patch $3 c)$(patch $4 d)$(patch $5 e)$(patch $6 f)"
    printf '%s' "[a][b][c]hstack=3[t];[d][e][f]hstack=3[u];[t][u]vstack,"
    printf 'setparams=range=pc:colorspace=gbr:color_primaries=%s:color_trc=%s,' $7 $8
}
chart=$(six 0xC86432 0x3CA05A 0x2846B4 gray white black bt709 bt709)
pq="${chart}zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt2020:t=smpte2084:m=bt2020nc:npl=203"
# The codes themselves, by the formulas of ITU-R BT.2100: zscale brightens each colour on its own.
hlg="$(six 0x9C6032 0x5C8C52 0x3A3EA6 0x727272 0xBFBFBF black bt2020 arib-std-b67)zscale=m=bt2020nc:r=tv"
# chart NAME FILTER FORMAT TAGS
chart() {
    run -f lavfi -i "$2,format=$3" -c:v libx265 -preset veryfast -movflags +faststart -bitexact \
        -x265-params "log-level=none:info=0:qp=4:$4" chart_$1.mp4
}
chart bt709 "${chart}zscale=m=bt709:r=tv" yuv420p10le colorprim=bt709:transfer=bt709:colormatrix=bt709
chart bt2020 "${chart}zscale=p=bt2020:t=2020_10:m=bt2020nc:r=tv" yuv420p10le colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc
chart p3 "${chart}zscale=p=smpte432:m=bt709:r=tv" yuv420p10le colorprim=smpte432:transfer=bt709:colormatrix=bt709
chart pq $pq:r=tv yuv420p10le colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc
chart pq_full $pq:r=pc yuv420p10le transfer=smpte2084:range=full
chart hlg "$hlg" yuv420p10le colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc
chart hlg_eight_bits "$hlg" yuv420p colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc
run -i chart_pq.mp4 -c copy -bitexact a.h265
run -i chart_bt709.mp4 -c copy -bitexact b.h265
cat a.h265 b.h265 > chart_change.h265; rm a.h265 b.h265
