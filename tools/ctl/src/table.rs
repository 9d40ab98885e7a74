// SPDX-License-Identifier: BSD-2-Clause
//! Tables as text.

/// Rows with columns as wide as their widest cells; those of the first row are the titles. Numbers are not treated otherwise.
pub fn format(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [
            vec!["A".to_owned(), "LONG".to_owned()],
            vec!["abc".to_owned(), String::new()],
        ];
        assert_eq!(format(&rows), "A    LONG\nabc\n");
        assert_eq!(format(&[]), "");
    }
}
