(async () => {
    // A frame that is still being written holds back the load event, on which printers wait.
    const hold = document.body.appendChild(document.createElement("iframe"));
    hold.hidden = true;
    hold.contentDocument.open();

    // The library and the data are gzip in base64: a fifth of the size, and unpacked in a blink.
    const unpacked = async id => {
        const packed = Uint8Array.from(atob(document.getElementById(id).textContent), c => c.charCodeAt(0));
        return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    };
    const [data, code] = await Promise.all([unpacked("figures"), unpacked("plotly")]);
    const { columns, figures } = JSON.parse(data);
    document.head.appendChild(document.createElement("script")).textContent = code;
    hold.contentDocument.close();

    const plots = [...document.querySelectorAll(".plot")];
    const isTouch = matchMedia("(pointer: coarse)").matches;
    const PRINT_WIDTHS = { full: 690, half: 330 };

    const color = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

    // "@3" is a shared array, "$ink" a color of the theme.
    const filled = value => {
        if (typeof value === "string") {
            if (/^@\d+$/.test(value)) return columns[Number(value.slice(1))];
            return /^\$\w+$/.test(value) ? color(value.slice(1)) : value;
        }
        if (Array.isArray(value)) return value.map(filled);
        if (value && typeof value === "object") {
            return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, filled(part)]));
        }
        return value;
    };

    // A Chinese character is as wide as two Latin letters.
    const breadth = text => text.replace(/[^\x00-\xff]/g, "xx").length;

    const axis = { gridcolor: "$rule", zerolinecolor: "$soft", linecolor: "$rule", automargin: true, zeroline: false };

    const draw = (plot, width) => {
        const { data, layout } = filled(figures[plot.dataset.figure]);
        const isNarrow = (width || plot.clientWidth) < 480;
        const names = data.filter(trace => trace.name && trace.showlegend !== false).map(trace => trace.name);
        const legend = { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: isNarrow ? 9 : 11 } };
        if (isNarrow && names.length > 6) {
            // Above the plot it would leave no room for it.
            const legendColumns = Math.max(...names.map(breadth)) > 24 ? 1 : 2;
            Object.assign(legend, { y: -0.1, yanchor: "top", entrywidth: 1 / legendColumns, entrywidthmode: "fraction" });
            plot.style.height = `${300 + 22 * Math.ceil(names.length / legendColumns)}px`;
        }
        const axes = Object.fromEntries(
            Object.keys(layout).filter(key => /^[xy]axis/.test(key)).map(
                key => [key, { ...filled(axis), ...layout[key], fixedrange: isTouch }]
            )
        );
        const common = {
            paper_bgcolor: "rgba(0,0,0,0)",
            plot_bgcolor: "rgba(0,0,0,0)",
            font: { color: color("ink"), size: isNarrow ? 10 : 12, family: getComputedStyle(document.body).fontFamily },
            margin: { l: 8, r: 8, t: 30, b: 8 },
            hovermode: "x unified",
            hoverlabel: { bgcolor: color("panel"), bordercolor: color("rule"), font: { color: color("ink"), size: 11 } },
            // A finger on a plot must still scroll the page.
            dragmode: isTouch ? false : "zoom",
        };
        Plotly.react(plot, data, {
            ...common, ...layout, ...axes, legend: { ...legend, ...layout.legend }, autosize: !width,
            width, height: width && plot.clientHeight,
        }, {
            responsive: true, displayModeBar: false,
        });
        plot.dataset.drawn = "yes";
    };

    const observer = new IntersectionObserver(entries => {
        for (const { isIntersecting, target } of entries) {
            if (isIntersecting) {
                observer.unobserve(target);
                draw(target);
            }
        }
    }, { rootMargin: "400px" });
    plots.forEach(plot => observer.observe(plot));

    const redraw = () => plots.filter(plot => plot.dataset.drawn).forEach(plot => draw(plot));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

    // Paper is light, and shows what nobody scrolled to.
    addEventListener("beforeprint", () => {
        document.documentElement.dataset.theme = "light";
        document.querySelectorAll("details").forEach(details => { details.open = true; });
        plots.forEach(plot => {
            observer.unobserve(plot);
            draw(plot, PRINT_WIDTHS[plot.closest(".grid > div:not(.full)") ? "half" : "full"]);
        });
    });
    addEventListener("afterprint", () => {
        delete document.documentElement.dataset.theme;
        redraw();
    });
})().catch(error => {
    document.querySelector("body > iframe").contentDocument.close();
    document.getElementById("undrawn").hidden = false;
    throw error;
});
